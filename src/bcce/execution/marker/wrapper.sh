#!/usr/bin/env bash
# BCCE's wrapper on a target: starts one script at most once for each key, and says later what became of it.
#
#   bash --noprofile --norc -p wrapper.sh VERB BASE KEY      VERB: probe start status output stop
#
# It is constant: nothing is ever filled into it. Numbers and digests come as one header line on standard input; for `start` the parameters
# (NAME=value, each closed by a NUL) and then the script's bytes follow. The answer is one line, `bcce1 WORD …`, then data if there is any.
#
# BASE/.birth                       symlink to the microsecond at which this base folder was first seen
# BASE/KEY/decision                 symlink, made once and never changed: started:PID:STARTTIME:BOOT_ID, abandoned or abandoned:unsure
# BASE/KEY/attempt.XXXXXXXXXX/      what one call of `start` received; the attempt that takes the decision is renamed to `run`
# BASE/KEY/run/{script,output,held} held is locked by every process of the job as long as it lives
# BASE/KEY/exit                     "CODE REASON OUTPUT_BYTES", there by rename once the script is over
# BASE/KEY/stopped                  somebody asked to stop the job
#
# `ln -sT` either makes the decision or fails because it is there: that is what "at most once" rests on, together with the fsync before the
# script is started, so that no power failure can forget a decision whose script has run.
#
# `start` answers `declined WHY` when this call ended before anything of it could have taken the decision: that is certain without a look
# at the folder, which may be gone or full. `refused WHY` leaves it to `status`.

set -u
LC_ALL=C # bytes, not characters; not exported, so that scripts get their own locale
umask 077

reply() { printf 'bcce1 %s\n' "$*"; }

leave() { # the answer; ends the wrapper
  reply "$@"
  exit 0
}

are_numbers() {
  local number
  for number in "$@"; do
    [[ $number =~ ^[0-9]{1,18}$ ]] || return 1
  done
}

# --- processes ---------------------------------------------------------------------------------------------------------------------------

look_at() { # PID; sets p_state, p_session and p_start; fails when there is no such process
  local stat='' rest
  # Up to a NUL, because the program's name inside may hold a newline.
  { IFS= read -r -d '' stat; } 2>/dev/null <"/proc/$1/stat"
  [[ -n $stat ]] || return 1
  # The name may hold anything, `) ` too, so fields are counted from its last closing bracket.
  rest=${stat##*) }
  # shellcheck disable=SC2086 # the fields are numbers and one letter
  set -- $rest
  (($# >= 20)) || return 1
  p_state=$1 p_session=$4 p_start=${20}
}

# PID STARTTIME: the process that had both lives; a zombie does nothing any more
is_alive() { look_at "$1" && [[ $p_start == "$2" && $p_state != [ZX] ]]; }

find_members() { # SESSION LEADER; sets members to its living processes but LEADER
  local dir pid
  members=()
  for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    if look_at "$pid" && [[ $p_session == "$1" && $p_state != [ZX] && $pid != "$2" ]]; then
      members+=("$pid")
    fi
  done
}

holds_lock() { # PID: it has this job's lock file open
  local fd
  for fd in "/proc/$1/fd/"*; do
    [[ $fd -ef $job/run/held ]] && return 0
  done
  return 1
}

is_lock_free() { # no process of the job holds the lock, in whatever session it is now
  [[ ! -e $job/run/held ]] || flock -n "$job/run/held" true
}

signal_members() { ((${#members[@]} == 0)) || kill "-$1" "${members[@]}" 2>/dev/null; } # SIGNAL

wait_for_members() { # SESSION LEADER SECONDS [SIGNAL sent again each time]; true when none is left
  local until=$((SECONDS + $3))
  while :; do
    find_members "$1" "$2"
    ((${#members[@]} > 0)) || return 0
    [[ -z ${4:-} ]] || signal_members "$4"
    ((SECONDS <= until)) || return 1
    sleep 0.02
  done
}

end_members() { # SESSION LEADER GRACE_S: ends all but LEADER; true when none is left
  find_members "$1" "$2"
  signal_members TERM
  signal_members CONT # a suspended process would not see it
  wait_for_members "$1" "$2" "$3" || wait_for_members "$1" "$2" 5 KILL
}

# --- the folder --------------------------------------------------------------------------------------------------------------------------

check_base() { # sets problem, empty when the base folder can be used
  local mode
  problem=''
  if [[ ! -d $base ]]; then problem='missing'
  elif [[ -L $base ]]; then problem='link'
  elif [[ ! -O $base ]]; then problem='foreign'
  elif ! mode=$(stat -c %a -- "$base" 2>/dev/null) || ((8#$mode & 8#22)); then problem='writable'
  else check_ways
  fi
}

check_ways() { # whoever can rename a folder above the base can exchange the base
  local above=$base mode
  while [[ $above == /?* ]]; do
    above=${above%/*}
    mode=$(stat -L -c %a -- "${above:-/}" 2>/dev/null) || mode=777
    ((8#$mode & 8#2 && !(8#$mode & 8#1000))) && problem='exposed'
  done
}

read_birth() { # NOW_US, or 0 when the caller does not tell; sets birth, 0 when unknown
  birth=$(readlink -- "$base/.birth")
  if [[ -z $birth ]] && (($1 > 0)); then
    ln -sT "$1" "$base/.birth" 2>/dev/null
    birth=$(readlink -- "$base/.birth")
  fi
  are_numbers "$birth" || birth=0
}

read_boot_id() {
  local found=''
  { read -r found; } 2>/dev/null </proc/sys/kernel/random/boot_id
  [[ $found =~ ^[0-9a-f-]{36}$ ]] && boot_id=$found
}

read_decision() { # sets decision (empty: none), and pid, start and boot of a started job
  pid='' start='' boot=''
  decision=$(readlink -- "$job/decision" 2>/dev/null)
  if [[ $decision =~ ^started:([0-9]{1,10}):([0-9]{1,20}):([0-9a-f-]{36})$ ]]; then
    pid=${BASH_REMATCH[1]} start=${BASH_REMATCH[2]} boot=${BASH_REMATCH[3]}
  fi
}

read_exit() { # sets code, reason and kept; fails when the script's end is not recorded
  code='' reason='' kept=''
  { read -r code reason kept; } 2>/dev/null <"$job/exit"
  are_numbers "$code" "$kept" && [[ $reason == @(exited|timed-out|stopped|not-run) ]]
}

fence() { # SINCE_US, 0 when not told: decides against starting if nothing is decided; sets decision
  local word=abandoned
  # Has this folder been there since the key was allowed to be used? If not, it proves nothing that there is no decision in it.
  read_birth 0
  if (($1 > 0)); then
    ((birth > 0 && birth <= $1)) || word=abandoned:unsure
  elif [[ $(stat -f -c %T -- "$base" 2>/dev/null) == @(tmpfs|ramfs) ]]; then
    word=abandoned:unsure
  fi
  mkdir -- "$job" 2>/dev/null
  if ln -sT "$word" "$job/decision" 2>/dev/null; then
    # So that no power failure forgets an answer that was given.
    sync -- "$job" "$base" 2>/dev/null
    rm -rf -- "$job"/attempt.*
  fi
  read_decision
}

# --- probe: header NOW_US ----------------------------------------------------------------------------------------------------------------

do_probe() {
  local now tool problems='' blocks size kind=''
  read -r now && are_numbers "$now" || leave malformed
  [[ -e $base || -L $base ]] || mkdir -p -m 0700 -- "$base" 2>/dev/null
  check_base
  [[ -z $problem ]] || problems=" base-$problem"
  for tool in cat env flock head ln mkdir mkfifo mktemp mv readlink rm setsid sha256sum sleep stat sync tail; do
    type -P "$tool" >/dev/null || problems+=" no-$tool"
  done
  setsid -f true 2>/dev/null || problems+=' no-setsid-fork'
  read_boot_id || problems+=' no-boot-id'
  look_at $$ || problems+=' no-proc'
  if [[ -z $problem ]]; then
    can_keep_jobs || problems+=' cannot-keep-jobs'
    read_birth "$now"
    ((birth > 0)) || problems+=' cannot-keep-jobs'
  fi
  read -r blocks size kind < <(stat -f -c '%a %S %T' -- "$base" 2>/dev/null)
  are_numbers "${blocks:-}" "${size:-}" || blocks=0 size=0 kind=''
  leave probe "$((blocks * size))" "${kind:--}" "${BASH_VERSION%%(*}" "$problems"
}

can_keep_jobs() { # everything that a job will need of the filesystem
  local trial
  trial=$(mktemp -d -- "$base/.probe.XXXXXXXXXX" 2>/dev/null) || return 1
  {
    ln -sT started:1 "$trial/decision" && ! ln -sT abandoned "$trial/decision" && mkfifo -- "$trial/ending" \
      && printf x >"$trial/new" && mv -T -- "$trial/new" "$trial/exit" && sync -- "$trial/exit" "$trial" && flock -n "$trial/exit" true
  } 2>/dev/null
  set -- $?
  rm -rf -- "$trial"
  return "$1"
}

# --- start: header ISSUED_US SCRIPT_BYTES SCRIPT_SHA256 PARAMETERS_BYTES PARAMETERS_SHA256 OUTPUT_KIB TIMEOUT_S GRACE_S ---------------------

do_start() {
  local issued script_bytes script_sha parameters_bytes parameters_sha output_kib timeout grace attempt ack
  read -r issued script_bytes script_sha parameters_bytes parameters_sha output_kib timeout grace || leave malformed
  are_numbers "$issued" "$script_bytes" "$parameters_bytes" "$output_kib" "$timeout" "$grace" || leave malformed
  check_base
  [[ -z $problem ]] || leave declined "base-$problem"
  # A base folder that is younger than the permission may be one that has forgotten that this key was used.
  read_birth 0
  ((birth > 0 && birth <= issued)) || leave declined base-new
  mkdir -- "$job" 2>/dev/null
  read_decision
  [[ -z $decision ]] || leave decided
  attempt=$(mktemp -d -- "$job/attempt.XXXXXXXXXX" 2>/dev/null) || leave declined no-room
  receive || drop "$received" declined
  # A new session and no descriptor of ours but the pipe for its answer: whatever happens to us, or to BCCE, does not reach it.
  ack=$(setsid -f "$BASH" --noprofile --norc -p -- "$0" supervise "$base" "$key" "${attempt##*/}" </dev/null 2>/dev/null)
  [[ $ack != started ]] || leave started
  [[ $ack != early-* ]] || drop "${ack#early-}" declined
  drop "${ack:-no-supervisor}" refused
}

receive() { # stores what comes after the header and compares it with the header; sets received to what is wrong
  local extra=''
  received=no-space
  head -c "$parameters_bytes" 2>/dev/null >"$attempt/parameters" || return 1
  head -c "$script_bytes" 2>/dev/null >"$attempt/script" || return 1
  received=wrong-length
  IFS= read -r -n 1 -d '' extra && return 1
  [[ -z $extra ]] || return 1
  [[ $(stat -c %s -- "$attempt/parameters" "$attempt/script" 2>/dev/null) == "$parameters_bytes"$'\n'"$script_bytes" ]] || return 1
  received=wrong-digest
  [[ $(sha256sum <"$attempt/parameters") == "$parameters_sha  -" && $(sha256sum <"$attempt/script") == "$script_sha  -" ]] || return 1
  received=no-space
  printf '%s\n' "$parameters_sha $output_kib $timeout $grace" 2>/dev/null >"$attempt/header"
}

drop() { # REASON WORD: forgets this attempt; nothing was decided by it
  rm -rf -- "$attempt"
  # A fence clears attempts away, so whatever went wrong here may only be the sign of one.
  read_decision
  [[ -z $decision || $1 == not-durable ]] || leave decided
  leave "$2" "$1"
}

# --- supervise: runs in its own session, is given the name of the attempt ----------------------------------------------------------------

do_supervise() {
  local attempt=$job/$1 pairs=() capture parameters_sha output_kib timeout grace
  [[ $1 =~ ^attempt\.[A-Za-z0-9]{10}$ ]] || refuse early-malformed
  read -r parameters_sha output_kib timeout grace <"$attempt/header" || refuse early-malformed
  load_parameters || refuse early-wrong-parameters
  prepare_run || refuse early-no-space
  read_boot_id && look_at $$ && [[ $p_session == "$$" ]] || refuse early-no-session
  if ! ln -sT "started:$$:$p_start:$boot_id" "$job/decision" 2>/dev/null; then
    read_decision
    rm -rf -- "$attempt"
    [[ -n $decision ]] && refuse decided
    refuse no-space
  fi
  if ! mv -T -- "$attempt" "$job/run" || ! sync -- "$job" "$base" 2>/dev/null; then
    record 126 not-run
    refuse not-durable
  fi
  # Nobody may be reading: the answer must not kill us. Undone at once, because scripts inherit it.
  trap '' PIPE
  printf 'started' 2>/dev/null
  trap - PIPE
  exec >/dev/null
  run_script
}

refuse() { # REASON, to the waiting `start`; early-… before the decision was tried for
  printf '%s' "$1"
  exit 0
}

load_parameters() { # into pairs, and proves that the shell kept every byte
  local pair
  while IFS= read -r -d '' pair; do
    [[ ${pair%%=*} =~ ^[A-Z][A-Z0-9_]{0,63}$ && $pair == *=* ]] || return 1
    pairs+=("$pair")
  done <"$attempt/parameters"
  ((${#pairs[@]} == 0)) || [[ $(printf '%s\0' "${pairs[@]}" | sha256sum) == "$parameters_sha  -" ]]
}

prepare_run() { # everything that needs space is made before the decision, so that a full disk means "not started"
  rm -f -- "$attempt/parameters"
  local name
  for name in held output whole going; do
    : 2>/dev/null >"$attempt/$name" || return 1
  done
  mkfifo -- "$attempt/ending" 2>/dev/null || return 1
  # Filled now and overwritten in place later: the end of a script that filled the disk can still be recorded.
  printf '%-63s\n' unfinished 2>/dev/null >"$attempt/exit" || return 1
  # A high number, so that scripts do not use it for something else by chance.
  exec 217<"$attempt/held" && flock -n 217
}

capture_output() { # keeps the first part of standard input, reads the rest, and never disturbs who writes
  trap '' TERM XFSZ
  ulimit -f "$output_kib"
  # cat and not head: it writes what it has at once, so that output can be followed.
  cat 2>/dev/null >>"$job/run/output" || mv -T -- "$job/run/whole" "$job/run/cut"
  exec cat >/dev/null
}

run_script() {
  # Trapped, not ignored: an ignored signal would be ignored by the script too.
  trap : TERM HUP INT
  exec 8> >(capture_output)
  capture=$!
  if [[ -e $job/stopped ]]; then
    record 143 stopped
    return
  fi
  # Both ends first, so that opening waits for nobody; only the runner keeps the writing one, so its death is seen as an end of file.
  exec 9<>"$job/run/ending" 218<"$job/run/ending"
  # With job control a background process keeps its default signals; without it, it would ignore SIGINT.
  set -m
  run_and_tell >&9 9>&- 218<&- &
  exec 8>&- 9>&-
  await_script
  await_capture
  if [[ -e $job/stopped ]]; then
    record 143 stopped
  elif [[ $reason == timed-out ]]; then
    record 124 timed-out
  elif [[ $code =~ ^[0-9]{1,3}$ ]]; then
    record "$code" exited
  fi
}

run_and_tell() { # the runner: waits in the foreground, because an interrupted `wait` of bash can lose the exit code
  local name
  trap : TERM HUP INT # a subshell begins without its parent's traps
  (
    # Exported and not handed to `env`: everybody on the machine can read the arguments of a process, and a value may be a secret.
    for name in $(compgen -e); do export -n "$name"; done
    export PATH HOME LANG ${pairs[@]+"${pairs[@]}"} LC_ALL="$LANG" 2>/dev/null
    exec "$BASH" --noprofile --norc -- "$job/run/script"
  ) </dev/null >&8 2>&1 8>&-
  printf '%s\n' "$?"
}

await_script() { # sets reason, and code unless nobody knows it
  local begun=$SECONDS left result
  reason=exited code=''
  while :; do
    left=3600
    [[ $reason == exited ]] && ((timeout > 0)) && left=$((timeout - SECONDS + begun))
    read -r -t "$((left > 0 ? left : 1))" -u 218 code && return
    result=$?
    # More than 128: out of time, or interrupted by a signal. Else the runner is gone and has not told.
    ((result > 128)) || return
    if [[ $reason == exited ]] && ((timeout > 0 && SECONDS - begun >= timeout)); then
      reason=timed-out
      end_members "$$" "$$" "$grace"
    fi
  done
}

await_capture() { # a process that the script left behind may keep the pipe open; the script is over all the same
  local tries
  for ((tries = 0; tries < 50; tries++)); do
    kill -0 "$capture" 2>/dev/null || return
    sleep 0.02
  done
}

record() { # CODE REASON: first durable, then visible; what is written later by processes that the script left behind is not its output
  local size
  size=$(stat -c %s -- "$job/run/output") && printf '%-63s\n' "$1 $2 $size" 2>/dev/null 1<>"$job/run/exit" || return
  sync -- "$job/run/exit" 2>/dev/null
  mv -T -- "$job/run/exit" "$job/exit" && sync -- "$job" 2>/dev/null
}

# --- status: header SINCE_US, 0 when not told --------------------------------------------------------------------------------------------

do_status() {
  local since
  read -r since && are_numbers "$since" || leave malformed
  check_base
  [[ $problem != missing ]] || leave unknown base-missing
  [[ -z $problem ]] || leave refused "base-$problem"
  fence "$since"
  case $decision in
    '') leave refused cannot-fence ;;
    abandoned) leave never_started ;;
    abandoned:*) leave unknown forgotten ;;
  esac
  [[ -n $pid ]] || leave unknown damaged
  read_exit && leave_exited
  read_boot_id || leave refused no-boot-id
  [[ $boot == "$boot_id" ]] || leave unknown restarted
  is_alive "$pid" "$start" && leave running
  # It may have recorded the end and left since we looked.
  read_exit && leave_exited
  is_lock_free || leave unknown supervisor-lost-job-alive
  leave unknown supervisor-lost
}

leave_exited() {
  [[ $reason != not-run ]] || leave never_started
  leave exited "$code" "$reason"
}

# --- output: header OFFSET LIMIT, both in bytes ------------------------------------------------------------------------------------------

do_output() {
  local offset limit size count complete=0 cut=0
  read -r offset limit && are_numbers "$offset" "$limit" || leave malformed
  check_base
  [[ $problem != missing ]] || leave output 0 1 0
  [[ -z $problem ]] || leave refused "base-$problem"
  read_decision
  [[ $decision == abandoned* ]] && complete=1
  [[ -e $job/run/cut ]] && cut=1
  if read_exit; then
    size=$kept complete=1
  else
    size=$(stat -c %s -- "$job/run/output" 2>/dev/null) || size=0
  fi
  count=$((size > offset ? size - offset : 0))
  ((count <= limit)) || count=$limit complete=0
  reply output "$count" "$complete" "$cut"
  ((count == 0)) || tail -c "+$((offset + 1))" -- "$job/run/output" | head -c "$count"
}

# --- stop: header GRACE_S ----------------------------------------------------------------------------------------------------------------

do_stop() {
  local grace tries owner
  read -r grace && are_numbers "$grace" || leave malformed
  check_base
  [[ -z $problem ]] || leave refused "base-$problem"
  fence 0
  case $decision in
    '') leave refused cannot-fence ;;
    abandoned) leave stopped 1 never-started ;;
    abandoned:*) leave stopped 0 forgotten ;;
  esac
  [[ -n $pid ]] || leave stopped 0 damaged
  read_boot_id || leave refused no-boot-id
  [[ $boot == "$boot_id" ]] || leave stopped 1 restarted
  # By rename, which needs no space; there is nothing to rename when the script was not started yet.
  [[ -e $job/exit ]] || mv -T -- "$job/run/going" "$job/stopped" 2>/dev/null || : 2>/dev/null >"$job/stopped"
  find_owner
  if [[ $owner == job ]]; then
    end_members "$pid" "$pid" "$grace"
    # The supervisor goes last: it records the end. From then on nobody is left who could start a process in this session.
    for ((tries = 0; tries < 100; tries++)); do
      is_alive "$pid" "$start" || break
      sleep 0.02
    done
    wait_for_members "$pid" '' 5 KILL
  fi
  leave_proof
}

find_owner() { # sets owner of the session that has the supervisor's number: job, other or unclear
  local member
  owner=unclear
  if look_at "$pid"; then
    # A number is not given away while a session has it, so another process of that number means that ours is over.
    [[ $p_start == "$start" ]] && owner=job || owner=other
    return
  fi
  find_members "$pid" ''
  for member in ${members[@]+"${members[@]}"}; do
    holds_lock "$member" && owner=job
  done
}

leave_proof() {
  find_owner
  if [[ $owner != other ]]; then
    # Twice, because a process can be born behind the back of one pass over /proc.
    find_members "$pid" ''
    ((${#members[@]} > 0)) || find_members "$pid" ''
    ((${#members[@]} == 0)) || leave stopped 0 left-in-session "${members[*]}"
  fi
  is_lock_free || leave stopped 0 left-elsewhere
  leave stopped 1 empty
}

# --- beginning ---------------------------------------------------------------------------------------------------------------------------

main() {
  local verb=${1-} base=${2-} key=${3-} job boot_id='' problem birth decision pid start boot code reason kept received members
  [[ $base == /* && $base != *[[:cntrl:]]* && $key =~ ^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$ ]] || leave malformed
  job=$base/$key
  cd / || leave malformed
  case $verb in
    probe | start | status | output | stop) "do_$verb" ;;
    supervise) do_supervise "${4-}" ;;
    *) leave malformed ;;
  esac
}

main "$@"
exit
