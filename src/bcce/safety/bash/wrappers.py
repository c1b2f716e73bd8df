"""Commands that run another command: how their own options end and the other command begins.

Sources: the manual pages sudo(8), env(1), timeout(1), nice(1), ionice(1), stdbuf(1), setsid(1), xargs(1), chrt(1), taskset(1), flock(1),
nsenter(1), unshare(1), strace(1), ssh(1), docker-exec(1), kubectl exec and their siblings.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The grammar of one wrapper.

    `valued` are options with a value, `flags` those without; any other option makes the whole unreadable. `operands` is the number of own
    operands in front of the command. `is_clear` says that the wrapper itself changes nothing about what the command may do.
    """

    valued: frozenset[str]
    flags: frozenset[str]
    operands: int = 0
    is_clear: bool = True
    assigns: bool = False


def _of(valued: str = "", flags: str = "", operands: int = 0, *, is_clear: bool = True, assigns: bool = False) -> Wrapper:
    return Wrapper(frozenset(valued.split()), frozenset(flags.split()), operands, is_clear, assigns)


_DOCKER_EXEC = _of(
    "-e --env --env-file -u --user -w --workdir --detach-keys", "-i -t -d --interactive --tty --detach --privileged", 1, is_clear=False
)
WRAPPERS: dict[str, Wrapper] = {
    "sudo": _of(
        "-u -g -p -C -T -U --user --group --prompt --close-from --command-timeout",
        "-n -H -E -k -S -A -b -P -B --non-interactive --set-home --stdin --preserve-groups --reset-timestamp",
        assigns=True,
    ),
    "doas": _of("-u -C", "-n", assigns=False),
    "env": _of("-u --unset", "-i --ignore-environment -0 --null -v --debug", assigns=True),
    "nohup": _of(),
    "timeout": _of("-k --kill-after -s --signal", "-v --verbose --foreground --preserve-status", 1),
    "nice": _of("-n --adjustment", "-1 -2 -5 -9 -10 -15 -19"),
    "ionice": _of("-c -n --class --classdata", "-t --ignore -c0 -c1 -c2 -c3 -n0 -n7"),
    "chrt": _of("-T -P -D", "-b -f -i -o -r -v --batch --fifo --idle --other --rr", 1),
    "taskset": _of("", "-c --cpu-list -a --all-tasks", 1),
    "numactl": _of("-N -m -C -p -i --cpunodebind --membind --physcpubind --preferred --interleave", "-l --localalloc"),
    "setsid": _of("", "-c -f -w --ctty --fork --wait"),
    "stdbuf": _of("-i -o -e --input --output --error", "-oL -eL -iL -o0 -e0 -i0"),
    "unbuffer": _of("", "-p"),
    "time": _of("-f --format", "-p -v --portability --verbose"),
    "command": _of("", "-p"),
    "builtin": _of(),
    "exec": _of("-a", "-c -l"),
    "chronic": _of("", "-e -v"),
    "setarch": _of("", "-R -v", 1),
    "busybox": _of(is_clear=False),
    "toybox": _of(is_clear=False),
    "xargs": _of(
        "-I -n -P -L -s -d -E -a --max-args --max-procs --max-lines --max-chars --delimiter --arg-file --replace --eof --process-slot-var",
        "-r -t -0 -p -x -i --no-run-if-empty --null --verbose --exit --interactive",
    ),
    "watch": _of(
        "-n --interval -q --equexit",
        "-d -t -b -e -g -c -p -x -w --differences --no-title --beep --errexit --chgexit --color --precise --exec",
    ),
    "parallel": _of(
        "-j --jobs -n -N -L -I -a --arg-file --delay --timeout --retries --colsep -d --delimiter --joblog --results",
        "-k --keep-order -0 --null -X -m --bar --eta --progress --will-cite --no-notice -v -t -u --ungroup --line-buffer --dry-run",
        is_clear=False,
    ),
    "flock": _of(
        "-w -E --timeout --wait --conflict-exit-code",
        "-n -x -s -e -u -o -F --nonblock --nb --exclusive --shared --no-fork --verbose",
        1,
        is_clear=False,
    ),
    "script": _of("", "-q -a -e -f --quiet --return --append --flush", is_clear=False),
    "strace": _of("-e -o -p -s -u -E -P -O -S -a -b -I", "-f -ff -c -C -t -tt -ttt -T -v -y -yy -i -q -qq -r -x -xx", is_clear=False),
    "ltrace": _of("-e -o -p -s -u -n -l -a", "-f -c -C -t -tt -T -S -i -r", is_clear=False),
    "gdb": _of("-p -ex -x --pid", "-batch --batch -q --args", is_clear=False),
    "chroot": _of("--userspec --groups", "--skip-chdir", 1, is_clear=False),
    "nsenter": _of(
        "-t --target -S -G --setuid --setgid",
        "-m -u -i -n -p -U -C -T -a -F -r -w --mount --uts --ipc --net --pid --user --cgroup --all --no-fork --preserve-credentials",
        is_clear=False,
    ),
    "unshare": _of(
        "-S -G --setuid --setgid --setgroups",
        "-m -u -i -n -p -U -C -T -f -r -c --mount --uts --ipc --net --pid --user --cgroup --fork --map-root-user --mount-proc",
        is_clear=False,
    ),
    "ssh": _of(
        "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w -B",
        "-4 -6 -A -a -C -f -G -g -K -k -M -N -n -q -s -T -t -tt -V -v -vv -vvv -X -x -Y -y",
        1,
        is_clear=False,
    ),
    "sshpass": _of("-p -f -d -P", "-e -v", is_clear=False),
    "su": _of("-s --shell -g --group -G -w", "- -l -m -p --login --preserve-environment -f", is_clear=False),
    "runuser": _of("-u --user -s --shell -g --group -G -w", "- -l -m -p --login --preserve-environment", is_clear=False),
    "setpriv": _of(
        "--reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits",
        "--clear-groups --keep-groups --init-groups --no-new-privs --reset-env",
        is_clear=False,
    ),
    "capsh": _of("", "", is_clear=False),
    "systemd-run": _of(
        "-p -u -E -M -H --property --unit --slice --uid --gid --nice --working-directory --setenv --on-active --on-calendar --description",
        "-t -P -q -G -S -d --scope --user --system --wait --pty --pipe --quiet --collect --remain-after-exit --no-block --shell",
        is_clear=False,
    ),
    "systemd-inhibit": _of("--what --who --why --mode", "", is_clear=False),
    "start-stop-daemon": _of("", "", is_clear=False),
    "prlimit": _of("-p --pid", "", is_clear=False),
    "cgexec": _of("-g", "--sticky", is_clear=False),
    "firejail": _of("", "--quiet --noprofile", is_clear=False),
    "fakeroot": _of("-l -s -i", "", is_clear=False),
    "proxychains": _of("-f", "-q", is_clear=False),
    "proxychains4": _of("-f", "-q", is_clear=False),
    "torsocks": _of("", "", is_clear=False),
    "tsocks": _of("", "", is_clear=False),
    "valgrind": _of("", "-q", is_clear=False),
    "hyperfine": _of("-w -r -m -M --warmup --runs", "-i", is_clear=False),
    "rlwrap": _of("", "", is_clear=False),
    "xvfb-run": _of("-s -n -e", "-a", is_clear=False),
    "dbus-run-session": _of("", "", is_clear=False),
    "entr": _of("", "-c -r -p -d -n -s", is_clear=False),
    "coproc": _of(is_clear=False),
    "docker exec": _DOCKER_EXEC,
    "podman exec": _DOCKER_EXEC,
    "nerdctl exec": _DOCKER_EXEC,
    "kubectl exec": _of(
        "-c -n --container --namespace --context --kubeconfig", "-i -t -it -ti --stdin --tty -q --quiet", 1, is_clear=False
    ),
    "oc exec": _of("-c -n --container --namespace", "-i -t -it -ti --stdin --tty", 1, is_clear=False),
    "lxc exec": _of("--env --cwd --user --group", "-t -T -n", 1, is_clear=False),
    "ip netns exec": _of("", "", 1, is_clear=False),
    "ip vrf exec": _of("", "", 1, is_clear=False),
}
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "rbash", "csh", "tcsh", "mksh", "busybox sh"})
PRIVILEGE = frozenset({"sudo", "doas", "su", "pkexec", "runuser", "setpriv", "capsh"})
#: Wrappers that hand all their operands, joined by blanks, to a shell.
JOINED = frozenset({"watch", "ssh", "eval", "parallel", "hyperfine"})
#: Options whose value is a script: sh -c, su -c, script -c, flock -c, watch has none.
SCRIPT_OPTIONS = {
    "su": ("-c", "--command"),
    "runuser": ("-c", "--command"),
    "script": ("-c", "--command"),
    "flock": ("-c", "--command"),
    "capsh": ("-c",),
    "expect": ("-c",),
}
