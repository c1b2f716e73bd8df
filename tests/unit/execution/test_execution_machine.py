"""Which spellings are one machine. The near misses are other machines."""

from dataclasses import replace

import pytest

from bcce.execution.model import Target
from bcce.execution.model.machine import THIS_MACHINE, machine_of

TARGET = Target(name="web", executor="ssh", address="web-1.example.com", base_dir="/var/lib/jobs", login="fixer")


@pytest.mark.parametrize(
    ("address", "machine"),
    [
        ("web-1", "web-1"),
        ("  WEB-1. ", "web-1"),
        ("web-1:22", "web-1"),
        ("web-1:", "web-1"),
        ("fixer@web-1", "web-1"),
        ("ssh://fixer@Web-1.:2222/", "web-1"),
        ("web-11", "web-11"),
        ("web-1.example.com", "web-1.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("two..dots", "two..dots"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5986", "192.0.2.7"),
        ("192.0.2.07.example", "192.0.2.07.example"),
        ("192.0.519", "192.0.2.7"),
        ("0xc0000207", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::0001]:22", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("beef", "beef"),
    ],
)
def test_every_spelling_of_a_host_is_one_machine(address: str, machine: str) -> None:
    assert machine_of("ssh", address) == machine


@pytest.mark.parametrize(
    "address", [None, "", "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1", "[::1]:22", "::ffff:127.0.0.1", "::"]
)
def test_no_address_and_a_loopback_one_are_this_machine(address: str | None) -> None:
    assert machine_of("ssh", address) == THIS_MACHINE


def test_the_local_executor_is_always_on_this_machine() -> None:
    assert machine_of("local", "web-1") == THIS_MACHINE


def test_entries_of_one_machine_share_a_lock_and_keep_their_digests() -> None:
    other = replace(TARGET, name="web-as-root", address="root@WEB-1.example.com.:2222", login="root")
    assert len({*TARGET.lock_keys} & {*other.lock_keys}) == 1
    assert TARGET.digest != other.digest


def test_an_entry_whose_address_is_edited_shares_a_lock_with_what_it_was() -> None:
    assert len({*TARGET.lock_keys} & {*replace(TARGET, address="192.0.2.7").lock_keys}) == 1


def test_entries_of_two_machines_share_no_lock() -> None:
    assert {*TARGET.lock_keys} & {*replace(TARGET, name="web-2", address="web-2.example.com").lock_keys} == set()
