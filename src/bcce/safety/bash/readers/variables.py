"""Variables whose value changes what other commands do."""

import re

#: Names whose value changes what other commands do; everything else is the script's own business.
_HARMFUL_NAME = re.compile(
    r"PATH|LD_.*|DYLD_.*|BASH_.*|ENV|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS[0-4]|CDPATH|FPATH|.*PAGER|.*EDITOR|"
    r"VISUAL|BROWSER|GIT_.*|SSH_.*|SUDO_.*|PERL.*|PYTHON.*|RUBY.*|NODE_.*|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_.*|MAVEN_OPTS|GRADLE_OPTS"
    r"|KUBECONFIG|DOCKER_HOST|DOCKER_CONFIG|DOCKER_CLI.*|AWS_CONFIG_FILE|AWS_SHARED.*|AWS_ENDPOINT.*|AWS_CA.*|BOTO_CONFIG|CLOUDSDK_.*|"
    r"AZURE_CONFIG.*|LESS.*|MAN.*OPT|MANPAGER|SYSTEMD_.*(LESS|PAGER|EDITOR).*|HOME|XDG_.*|HIST.*|SHELL|INPUTRC|"
    r"TERMINFO.*|TERMCAP"
    r"|OPENSSL_.*|SSL_CERT.*|SSL_KEYLOGFILE|SSLKEYLOGFILE|CURL_.*|WGETRC|.*_PROXY|.*_proxy|GCONV_PATH|LOCPATH|NLSPATH|GETCONF_DIR|"
    r"MALLOC_.*|HOSTALIASES|RES_OPTIONS|LOCALDOMAIN|TZDIR|RESOLV.*|NIS_PATH|GREP_OPTIONS|TAR_OPTIONS|GZIP|BZIP2?|"
    r"XZ_(OPT|DEFAULTS)|ZIPOPT|RSYNC_.*|RIPGREP_CONFIG_PATH|FZF_.*|MAKEFLAGS|CC|CXX|CPP|AWKPATH|AWKLIBPATH|GAWK.*|"
    r"PGSYSCONFDIR|PGSERVICEFILE|PGPASSFILE|MYSQL_HOME|EXINIT|VIMINIT|LUA_.*|TCLLIBPATH|R_.*|GEM_.*|BUNDLE_.*|npm_config_.*|"
    r"APT_.*|.*_INCLUDE|APACHE_.*|ERL_.*|ELIXIR_.*|KUBECTL_.*|KAFKA_.*|CASSANDRA_.*|JVM_.*|.*_OPTS|.*_OPTIONS|RESTIC_.*|BORG_.*|RCLONE_.*|"
    r"VAULT_.*|NOMAD_.*|CONSUL_.*|CARGO_.*|RUSTC.*|GO[A-Z]+|RPM_.*|DNF.*|YARN_.*|PIP_.*|UV_.*|CONDA_.*|ANSIBLE_.*|TF_.*|HELM_.*|KUBE_.*|FAKEROOT.*|QT_.*PATH|GTK_.*|GIO_.*|DBUS_.*|"
    r"COLUMNS_PATH|PKG_CONFIG_.*|command_not_found_handle"
    r"|XTABLES_LIBDIR|IP6?TABLES_LIB_DIR|TC_LIB_DIR|MTR_.*|JAVA_HOME|JRE_HOME|CLASSPATH|.*JVMFLAGS|ZOO.*DIR|ZOOCFG|ZOOMAIN|ZPOOL_SCRIPTS_.*"
    r"|RABBITMQ_(?:CONF|CTL|ENV|SCRIPT|PLUGINS|SERVER|DIST|HOME).*|MAIL_CONFIG|PHPRC|PHP_INI.*|DOTNET_.*|CORECLR_.*|COMPlus_.*|RUSTUP_.*|PACKER_.*"
    r"|COMPOSER_.*|AZURE_(?:EXTENSION|DEFAULTS|CORE).*|LVM_SYSTEM_DIR|BLKID_.*|E2FSCK_CONFIG|MKE2FS_CONFIG|(?:NSTAT|IFSTAT|LNSTAT)_HISTORY"
    r"|GNUPGHOME|LIBGL_.*|LIBVIRT_.*|VIRSH_.*|CEPH_(?:ARGS|CONF|LIB)|SNMPCONFPATH|SNMP_PERSISTENT_.*|MIBDIRS|MIBS|KRB5_(?:CONFIG|TRACE|KTNAME)"
    r"|DEBUGINFOD_.*|ACKRC|BAT_.*|.*BROWSER|ARGOCD_.*|CONTAINERS_.*|CONTAINER_(?:HOST|CONNECTION)|DOCKER_CONTEXT|LIBMYSQL_.*|HOMEBREW_.*|ZYPP_.*"
    r"|GROFF_.*|TROFF.*|DPKG_.*|TAPE|UNZIP(?:OPT)?|ZIPINFO(?:OPT)?|POSIXLY_CORRECT"
)


def is_harmful_name(name: str, value: str | None = None) -> bool:
    """Setting the variable changes what other commands do. Source: the ENVIRONMENT sections of the tools' manual pages."""
    if not _HARMFUL_NAME.fullmatch(name):
        return False
    if value is None:
        return True
    if name == "PATH":
        folders = value.replace("\ue001", "$PATH").split(":")
        return not all(
            re.fullmatch(r"(/usr)?(/local)?/s?bin|\$PATH|/snap/bin|/opt/(homebrew|puppetlabs)/s?bin", folder) for folder in folders
        )
    if name in ("JAVA_HOME", "JRE_HOME"):
        return re.fullmatch(r"/(?:usr|opt)/[\w./+-]+", value) is None
    if name.endswith("PAGER"):
        return value not in ("", "cat", "/bin/cat")
    return not (
        name in ("GIT_TERMINAL_PROMPT", "LESS", "PS4", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING", "SYSTEMD_COLORS")
        and re.fullmatch(r"[\w:+ .-]*", value)
    )
