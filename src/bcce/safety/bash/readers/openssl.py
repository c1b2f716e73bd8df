"""openssl that shows: certificates, lists and connections; nothing written, signed or decrypted. Source: the openssl-* manual pages."""

import re

from bcce.safety.bash.readers.files import secret_in
from bcce.safety.bash.readers.network import TELLS
from bcce.safety.bash.readers.options import Options, given, options
from bcce.safety.bash.view import Call

_SHOWS = "-- --in= --inform= --outform= --text --noout --nameopt= --issuer --subject --hash --fingerprint --verify"
_CHAIN = (
    "--CAfile= --CApath= --no-CAfile --no-CApath --crl_check --crl_check_all --purpose= --partial_chain --verify_hostname= --verify_ip="
    " --verify_email= --attime= --x509_strict --no_check_time --trusted_first --no_alt_chains --auth_level= --verify_depth="
)
_DIGESTS = " --md5 --sha1 --sha224 --sha256 --sha384 --sha512 --sha3-256 --sha3-512 --blake2b512 --blake2s256"
_KEY = "-- --in= --inform= --outform= !--noout --pubin --check --pubcheck --text_pub --modulus --param_enc= --conv_form="
#: What each command may be given, behind one dash or two.
_VERBS: dict[str, Options] = {
    verb: options(text)
    for verb, text in {
        "x509": f"{_SHOWS} -C --dates --startdate --enddate --serial --subject_hash --issuer_hash --subject_hash_old --issuer_hash_old"
        f" --pubkey --modulus --email --ocsp_uri --ocspid --alias --purpose --certopt= --checkend= --checkhost= --checkemail= --checkip="
        f" --ext= --dateopt= --nocert{_DIGESTS}",
        "req": f"{_SHOWS} --pubkey --modulus --reqopt= --verbose",
        "crl": f"{_SHOWS} --hash_old --lastupdate --nextupdate --crlnumber --CAfile= --CApath={_DIGESTS}",
        "pkcs7": f"{_SHOWS} --print_certs --print --quiet",
        "crl2pkcs7": f"{_SHOWS} --nocrl --certfile=",
        "ocsp": f"-- {_CHAIN} --issuer= --cert= --serial= --url= --host= --path= --header= --text --resp_text --req_text --nonce --no_nonce"
        f" --VAfile= --verify_other= --trust_other --noverify --no_cert_verify --status_age= --validity_period= --timeout= --respin="
        f" --reqin= --no_intern --no_signature_verify --no_cert_checks --no_chain --no_explicit{_DIGESTS}",
        "verify": f"-- {_CHAIN} --untrusted= --trusted= --CRLfile= --verbose --show_chain --check_ss_sig --policy_check --issuer_checks"
        " --nameopt= --ignore_critical",
        "version": "-- -avdbfoprmcew",
        "ciphers": "-- -vVs --tls1 --tls1_1 --tls1_2 --tls1_3 --stdname --convert= --psk --srp --ciphersuites=",
        "asn1parse": "-- --in=< --inform= -i --dump --dlimit= --strparse= --offset= --length= --noout --strictpem --item=",
        "dgst": f"-- -rc --hex --binary --list --verify= --signature= {_DIGESTS}",
        **dict.fromkeys(("md5", "sha1", "sha256", "sha512"), "-- -rc --hex --binary"),
        "list": "-- -1v --commands --digest-commands --cipher-commands --cipher-algorithms --digest-algorithms --public-key-algorithms"
        " --public-key-methods --disabled --engines --providers --verbose --all-algorithms --kdf-algorithms --mac-algorithms"
        " --signature-algorithms --tls-groups --objects --options= --select=",
        "errstr": "",
        "prime": "-- --hex --checks=",
        "speed": "-- --evp= --elapsed --seconds= --bytes= --decrypt --mr --hmac= --cmac= --aead --misalign= --primes=",
        "ec": _KEY,
        "rsa": _KEY,
        "pkey": _KEY,
        "s_client": f"-- -46 {_CHAIN} --connect= --host= --port= --servername= --noservername --showcerts --starttls= --xmpphost= --name="
        " --ssl3 --tls1 --tls1_1 --tls1_2 --tls1_3 --no_ssl3 --no_tls1 --no_tls1_1 --no_tls1_2 --no_tls1_3 --min_protocol= --max_protocol="
        " --verify= --verify_return_error --verify_quiet --brief --quiet --status --msg --debug --state --nbio --crlf --alpn="
        " --nextprotoneg= --cipher= --ciphersuites= --curves= --sigalgs= --groups= --prexit --reconnect --ign_eof --no_ign_eof"
        " --tlsextdebug --trace --nameopt= --serverinfo= --bugs --no_ticket --legacy_renegotiation --legacy_server_connect"
        " --security_debug --ct --noct --timeout --dtls --dtls1_2 --mtu= --nocommands --adv",
    }.items()
}


def openssl(call: Call) -> str | None:
    """Certificates shown and connections looked at."""
    verb = call.args[0] if call.args else ""
    known = _VERBS.get(verb)
    if known is None:
        return f"openssl {verb} is not known to read only"
    said = given(call.args[1:], known)
    if said.unknown is not None:
        return "openssl writes, signs or loads something"
    if said.misses(known):
        return "openssl shows a private key"
    if verb == "s_client":
        return _connects(call)
    if verb != "ocsp" and any(re.match("https?:", value) for value in (*said.operands, *(value for _, value in said.options))):
        return "openssl fetches from another machine"
    return secret_in(call, [value for name, value in said.options if name in known.files])


def _connects(call: Call) -> str | None:
    """A connection through which nothing is sent."""
    given_text = [redirect for redirect in call.command.redirects if redirect.operator in ("<", "<<", "<<<")]
    is_quiet = all(redirect.target is not None and redirect.target.raw in ("/dev/null", '""', "''") for redirect in given_text)
    says = [word.literal for command in call.command.inputs for word in command.argv[:1]]
    computed = any(word.literal is None for command in call.command.inputs for word in command.argv)
    if any(TELLS.search(value) for value in call.operands):
        return "what a command printed is sent away in a name"
    if computed or not is_quiet or not set(says) <= {"echo", "true", "printf", "sleep"}:
        return "openssl sends something to another machine"
    return None
