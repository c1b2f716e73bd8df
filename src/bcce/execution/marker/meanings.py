"""What the words of `wrapper.sh` mean, for people."""

from typing import Final

#: Why a base folder cannot be used, by the wrapper's word.
BASE_PROBLEMS: Final = {
    "base-missing": "the base folder does not exist",
    "base-link": "the base folder is a symbolic link",
    "base-foreign": "the base folder belongs to another account",
    "base-writable": "others can write in the base folder; make it 0700",
    "base-exposed": "others can exchange the base folder, because they can write in a folder above it",
    "base-new": "the base folder was made, or first seen, after this start was permitted",
}
TARGET_PROBLEMS: Final = BASE_PROBLEMS | {
    "no-setsid-fork": "setsid cannot fork; util-linux is needed",
    "no-boot-id": "the machine does not tell its boot id",
    "no-proc": "/proc cannot be read",
    "cannot-keep-jobs": "the base folder is full, read-only, or on a filesystem without symbolic links, renames or locks",
}
REFUSALS: Final = TARGET_PROBLEMS | {
    "no-room": "nothing can be stored in the base folder: it cannot be written to, or its disk is full",
    "no-space": "the target could not store the script; its disk may be full",
    "wrong-length": "the target received another number of bytes than were sent",
    "wrong-digest": "the target received other bytes than were sent",
    "wrong-parameters": "the target's shell did not keep the parameters as they were sent",
    "no-session": "the target could not begin a new session",
    "no-supervisor": "the supervisor did not answer",
    "not-durable": "the target could not make its decision durable, so it did not start the script",
    "cannot-fence": "the target could not record that the script must not start; its disk may be full",
}
UNKNOWN: Final = {
    "base-missing": "the target's base folder is gone, and with it what it knew about this job",
    "forgotten": "the target's base folder is younger than the job, or does not outlive a restart, so it may have forgotten it",
    "damaged": "the target's record of the decision is damaged",
    "restarted": "the target was restarted while the script ran",
    "supervisor-lost": "the script's supervisor was killed before it could record the end",
    "supervisor-lost-job-alive": "the script's supervisor was killed; something that it started still runs",
}
STOPPED: Final = {
    "never-started": "it was never started and never will be",
    "restarted": "the target was restarted since, so nothing of it can run",
    "empty": "no process of its session is left, and none that it started holds its lock",
    "forgotten": "the target may have forgotten whether it was started",
    "damaged": "the target's record of the decision is damaged",
    "left-in-session": "processes of its session are left",
    "left-elsewhere": "a process that it started left the session and still runs",
}
