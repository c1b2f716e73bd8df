"""The two small languages of the policy: patterns for commands and paths, and windows of time."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from bcce.safety.model import UNKNOWN
from bcce.safety.policy.patterns import CommandPattern, InvalidPattern, PathPattern
from bcce.safety.policy.windows import Window

#: pattern, command, allows, catches, could catch
COMMANDS = [
    ("systemctl restart nginx", "systemctl restart nginx", True, True, True),
    ("systemctl restart nginx", "systemctl restart nginx.service", False, False, False),
    ("systemctl restart nginx", "systemctl restart nginx apache2", False, True, True),
    ("systemctl restart nginx", "systemctl --now restart nginx", False, True, True),
    ("systemctl restart nginx", "systemctl stop nginx", False, False, False),
    ("systemctl restart nginx", "systemctl", False, False, False),
    ("systemctl restart nginx", "/opt/x/systemctl restart nginx", False, True, True),
    ("systemctl restart {nginx,apache2}", "systemctl restart apache2", True, True, True),
    ("systemctl restart {nginx,apache2}", "systemctl restart redis", False, False, False),
    ("systemctl restart app-*", "systemctl restart app-7", True, True, True),
    ("systemctl restart app-*", "systemctl restart app-7/x", False, False, False),
    ("systemctl restart app-?", "systemctl restart app-77", False, False, False),
    ("systemctl restart **", "systemctl restart", True, True, True),
    ("systemctl restart **", "systemctl restart a b", True, True, True),
    ("systemctl restart **", f"systemctl restart {UNKNOWN}", True, True, True),
    ("systemctl restart nginx", f"systemctl restart {UNKNOWN}", False, False, True),
    ("systemctl restart nginx", f"systemctl restart ng{UNKNOWN}", False, False, True),
    ("systemctl restart nginx", f"systemctl restart apache{UNKNOWN}", False, False, True),
    ("systemctl restart nginx", f"{UNKNOWN} restart nginx", False, False, True),
    ("rm -f /var/log/app/*.log", "rm -f /var/log/app/a.log", True, True, True),
    ("rm -f /var/log/app/*.log", "rm -f /var/log/app/*.log", True, True, True),
    ("rm -f /var/log/app/*.log", "rm -f /var/log/app/*", False, False, True),
    ("rm -f /var/log/app/**", "rm -f /var/log/app/../../etc/passwd", False, True, True),
    ("rm -f /var/log/app/**", "rm -f /var/log/app/.*", False, True, True),
    ("rm -f /var/log/app/../x", "rm -f /var/log/app/../x", True, True, True),
    ("rm -f *", "rm -f *", False, True, True),
    ("git push --force **", "git push origin main --force", False, True, True),
    ("git push --force **", "git push --force=1", False, True, True),
    ("git push --force **", f"git push {UNKNOWN}", False, False, True),
    ("git push --force **", "git push origin", False, False, False),
    ("kubectl delete **", "kubectl -n prod delete pod x", False, True, True),
    ("'two words' x", "'two words' x", True, True, True),
    ("curl https://status.example/**", "curl https://status.example/a/b", True, True, True),
    ("a ****b", "a xb", True, True, True),
]


@pytest.mark.parametrize(("pattern", "command", "allows", "catches", "could"), COMMANDS)
def test_a_command_pattern(pattern: str, command: str, allows: bool, catches: bool, could: bool) -> None:
    argv = ["two words", "x"] if command.startswith("'") else command.split()
    found = CommandPattern.parse(pattern)

    assert (found.allows(argv), found.catches(argv), found.could_catch(argv)) == (allows, catches, could)


def test_no_command_is_no_command() -> None:
    assert not CommandPattern.parse("a").allows([])
    assert not CommandPattern.parse("a").catches([])


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "at least its name"),
        ("  ", "at least its name"),
        ("systemctl 'restart", "not closed"),
        ("**", "can only be the last"),
        ("a ** b", "can only be the last"),
        ("{a,b,c,d,e,f,g,h}{a,b,c,d,e,f,g,h}{a,b,c,d,e,f,g,h}", "more than 256"),
    ],
)
def test_a_pattern_that_cannot_be_read_says_why(pattern: str, why: str) -> None:
    with pytest.raises(InvalidPattern, match=why):
        CommandPattern.parse(pattern)


#: pattern, path, allows, catches, could catch
PATHS = [
    ("/srv/pay/**", "/srv/pay/a/b", True, True, True),
    ("/srv/pay/**", "/srv/pay/a", True, True, True),
    ("/srv/pay/**", "//srv/pay/a", True, True, True),
    ("/srv/pay/**", "/srv/pay", False, False, True),
    ("/srv/pay/**", "/srv", False, False, True),
    ("/srv/pay/**", "/", False, False, True),
    ("/srv/pay/**", "/srv/payment", False, False, False),
    ("/srv/pay/**", "/srv/pay/../x", False, False, False),
    ("/srv/pay/**", "/srv/x/../pay/a", False, True, True),
    ("/srv/pay/**", "/srv/pay/*.log", True, True, True),
    ("/srv/pay/**", "/srv/pay/*", True, True, True),
    ("/srv/pay/**", "/srv/*", False, False, True),
    ("/srv/pay/**", "/srv/pay/.*", False, True, True),
    ("/srv/pay/**", "/srv/pay/…", False, True, True),
    ("/srv/pay/**", "/data/…", False, False, False),
    ("/srv/pay/**", "…", False, False, True),
    ("/srv/pay/**", "*", False, False, True),
    ("/srv/pay/**", "pay/x", False, False, True),
    ("/srv/pay/**", "~/x", False, False, True),
    ("/data/*.log", "/data/a.log", True, True, True),
    ("/data/*.log", "/data/*.log", True, True, True),
    ("/data/*.log", "/data/*", False, False, True),
    ("/data/*.log", "/data/a/b.log", False, False, False),
    ("/etc/{hosts,motd}", "/etc/motd", True, True, True),
    ("/etc/hosts", "/etc/passwd", False, False, False),
    ("C:\\Logs\\**", "c:\\logs\\A.txt", True, True, True),
    ("C:\\Logs\\**", "C:/LOGS/x", True, True, True),
    ("C:\\Logs\\**", "D:\\Logs\\x", False, False, False),
]


@pytest.mark.parametrize(("pattern", "path", "allows", "catches", "could"), PATHS)
def test_a_path_pattern(pattern: str, path: str, allows: bool, catches: bool, could: bool) -> None:
    found = PathPattern(pattern)

    assert (found.allows(path), found.catches(path), found.could_catch(path)) == (allows, catches, could)


@pytest.mark.parametrize(("pattern", "why"), [("srv/x", "no absolute path"), ("/srv/../x", r"`\.\.`")])
def test_a_path_pattern_that_means_nothing_certain_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(InvalidPattern, match=why):
        PathPattern(pattern)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


NIGHT = {"id": "night", "days": ["fri"], "start": "22:00", "end": "05:00", "timezone": "Europe/Berlin"}

#: window, moment, whether it holds. 2026-11-20 is a Friday; Berlin is at +01:00 then.
WINDOWS = [
    (NIGHT, "2026-11-20T21:59:59+01:00", False),
    (NIGHT, "2026-11-20T22:00:00+01:00", True),
    (NIGHT, "2026-11-21T04:59:59+01:00", True),
    (NIGHT, "2026-11-21T05:00:00+01:00", False),
    (NIGHT, "2026-11-20T21:30:00+00:00", True),
    (NIGHT, "2026-11-21T23:00:00+01:00", False),
    ({"id": "all"}, "2026-11-21T00:00:00+00:00", True),
    ({"id": "day", "start": "09:00"}, "2026-11-21T23:59:59+00:00", True),
    ({"id": "day", "start": "09:00"}, "2026-11-21T08:59:59+00:00", False),
    ({"id": "end", "first_day": "2026-12-20", "last_day": "2027-01-03"}, "2026-12-25T12:00:00+00:00", True),
    ({"id": "end", "first_day": "2026-12-20", "last_day": "2027-01-03"}, "2026-12-19T12:00:00+00:00", False),
    ({"id": "end", "first_day": "2026-12-20", "last_day": "2027-01-03"}, "2027-01-04T12:00:00+00:00", False),
    # The hour that comes twice in Berlin, both times: clocks go back at 01:00 UTC.
    ({"id": "dst", "start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"}, "2026-10-25T00:30:00+00:00", True),
    ({"id": "dst", "start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"}, "2026-10-25T01:30:00+00:00", True),
    ({"id": "dst", "start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"}, "2026-10-25T02:30:00+00:00", False),
    # East of UTC it is tomorrow already, west of it still yesterday.
    ({"id": "east", "days": ["sun"], "timezone": "Pacific/Auckland"}, "2026-11-21T23:00:00+00:00", True),
    ({"id": "west", "days": ["fri"], "timezone": "Pacific/Honolulu"}, "2026-11-21T05:00:00+00:00", True),
]


@pytest.mark.parametrize(("window", "moment", "holds"), WINDOWS)
def test_a_window(window: dict[str, object], moment: str, holds: bool) -> None:
    assert Window.model_validate(window).holds(at(moment)) is holds


def test_a_window_says_when_it_opens_next() -> None:
    night = Window.model_validate(NIGHT)
    over = Window.model_validate({"id": "over", "last_day": "2020-01-01"})

    assert night.opens_after(at("2026-11-21T12:00:00+01:00")) == datetime(2026, 11, 27, 21, tzinfo=UTC)
    assert night.opens_after(at("2026-11-20T12:00:00+01:00")) == datetime(2026, 11, 20, 21, tzinfo=UTC)
    assert over.opens_after(at("2026-11-20T12:00:00+01:00")) is None


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"timezone": "Europe/Atlantis"}, "no time zone"),
        ({"timezone": "../etc/passwd"}, "no time zone"),
        ({"start": "25:00"}, "start"),
        ({"start": "09:00+01:00"}, "stands under"),
        ({"days": []}, "days"),
        ({"days": ["funday"]}, "days"),
        ({"first_day": "2026-02-01", "last_day": "2026-01-01"}, "before it starts"),
        ({"id": "No Name"}, "id"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(values: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Window.model_validate({"id": "x", **values})
