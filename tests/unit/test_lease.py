"""The timer of a lease: how it joins a person's first-boot data, and how it counts, warns and ends."""

from __future__ import annotations

import email
import gzip
import json
import os
import subprocess
from email.message import Message
from pathlib import Path

import pytest

from cloudms import lease
from cloudms.errors import Invalid
from cloudms.model import Vm

END = 2_000_000_000.0
KINDS = {
    "#!/bin/bash\necho grüße\n": "text/x-shellscript",
    "#cloud-config\nruncmd: [ls]\n": "text/cloud-config",
    "#cloud-config-archive\n- type: text/cloud-config\n": "text/cloud-config-archive",
    "#cloud-config-jsonp\n[]\n": "text/cloud-config-jsonp",
    "#cloud-boothook\n#!/bin/sh\ntrue\n": "text/cloud-boothook",
    "#include\nhttps://example.org/a\n": "text/x-include-url",
    "#include-once\nhttps://example.org/a\n": "text/x-include-once-url",
    "#part-handler\ndef list_types(): ...\n": "text/part-handler",
    "## template: jinja\n#cloud-config\nfqdn: {{ v1.region }}\n": "text/jinja2",
    "what is this": "text/plain",
}


def parts(text: str) -> list[tuple[str, str]]:
    """Return type and content of every part, as cloud-init sees them."""
    found: Message = email.message_from_bytes(text.encode())
    leaves = [part for part in found.walk() if not part.is_multipart()]
    return [(part.get_content_type(), bytes(part.get_payload(decode=True)).decode()) for part in leaves]


@pytest.mark.parametrize("data", ["", "#!/bin/sh\ntrue\n", "what is this"])
def test_without_an_end_nothing_changes(data: str) -> None:
    assert lease.with_timer(data, None) == data


def test_alone_it_is_a_boothook_with_the_end_and_the_stamp() -> None:
    made = lease.with_timer("", END, stamp=12.9)
    assert made.startswith("#cloud-boothook\n#!/bin/sh\n")
    assert "cms-lease set 2000000000 12\n" in made


@pytest.mark.parametrize(("data", "kind"), KINDS.items())
def test_the_persons_part_stays_verbatim_before_ours(data: str, kind: str) -> None:
    assert parts(lease.with_timer(data, END)) == [(kind, data), ("text/cloud-boothook", lease.hook(END))]


@pytest.mark.parametrize(
    "text", ["no line end", "#!/bin/sh\r\necho dos\r\n", "#!/bin/sh\n--cms-part-0\n--cms-part-1\n"]
)
def test_line_ends_and_look_alikes_of_the_boundary_survive(text: str) -> None:
    assert parts(lease.with_timer(text, END))[0][1] == text


def test_an_archive_stays_one_and_gets_our_part() -> None:
    data = (
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n'
        "--x\nContent-Type: text/cloud-config\n\n#cloud-config\nfqdn: a\n\n--x\n"
        "Content-Type: text/x-shellscript\n\n#!/bin/sh\ntrue\n--x--\n"
    )
    made = lease.with_timer(data, END)
    assert data in made
    assert [kind for kind, _ in parts(made)] == ["text/cloud-config", "text/x-shellscript", "text/cloud-boothook"]
    assert parts(lease.with_timer(made, END))[:2] == parts(made)[:2]  # our own archive is one, too


@pytest.mark.parametrize("data", ["<powershell>ls</powershell>", '{"ignition": {}}', "version: 1.0\ntasks: []\n"])
def test_data_that_cloud_init_does_not_read_are_left_alone(data: str) -> None:
    assert lease.with_timer(data, END) == data


def test_the_same_request_gives_the_same_bytes() -> None:
    long = "#!/bin/sh\n" + "echo a long line of a script\n" * 1000
    one, two = (lease.packed(lease.with_timer(long, END, source="aws")) for _ in range(2))
    assert one == two


def test_only_what_is_too_long_is_compressed_and_what_stays_too_long_is_refused() -> None:
    long = "#!/bin/sh\n" + "echo a long line of a script\n" * 1000
    assert lease.packed("#!/bin/sh\n") == "#!/bin/sh\n"
    small = lease.packed(long)
    assert isinstance(small, bytes) and len(small) <= lease.LIMIT
    assert gzip.decompress(small).decode() == long
    noise = "".join(chr(33 + (n * n * 7919 + n // 3) % 90) for n in range(40_000)) + os.urandom(20_000).hex()
    with pytest.raises(Invalid, match=r"78\.\d KiB, compressed \d+(\.\d)? KiB; 16\.0 KiB is the most"):
        lease.packed(noise)


def test_a_script_of_usual_length_fits_uncompressed_beside_the_timer() -> None:
    assert len(lease.with_timer("#!/bin/sh\n", END, source="aws").encode()) < lease.LIMIT // 2


def test_a_protected_vm_does_not_end() -> None:
    assert lease.end_of(Vm(name="a", expires=END)) == END
    assert lease.end_of(Vm(name="a", expires=END, protected=True)) is None


class Guest:
    """A guest whose time only passes in `sleep`, with the script and everything it calls in a folder."""

    def __init__(self, folder: Path, *, source: lease.Source = "file", expires: float | None = None) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.file = folder / "lib" / "lease"
        self.hook = folder / "hook"
        text = lease.hook(expires, source=source, stamp=100.0)
        for name in (
            "/usr/local/sbin",
            "/var/lib/cms",
            "/run/",
            "/etc/systemd/system",
            "/var/lib/cloud",
            "/proc/uptime",
        ):
            text = text.replace(name, f"{folder}{name}")
        self.file = folder / "var/lib/cms/lease"
        for name in ("run/systemd/system", "etc/systemd/system", "proc"):
            (folder / name).mkdir(parents=True)
        self.hook.write_text(text.replace("\nPATH=", f"\nPATH={self.bin}:"))
        self.write("now", "1000")
        self.write("proc/uptime", "50.00 0.0")
        self.tool("date", f'cat "{folder}/now"')
        self.tool("sleep", self._later())
        self.tool("shutdown", f'echo "off $(cat {folder}/now)" >>"{folder}/log"; kill "$PPID"')
        self.tool("wall", f'read -r line; echo "$(cat {folder}/now) $line" >>"{folder}/log"')
        self.tool("systemctl", f'echo "$*" >>"{folder}/units"')
        self.tool("hostname", "echo web1")

    def lasts(self, uptime: int) -> None:
        """Let the test end at `uptime`, when nothing is to happen any more."""
        self.tool("sleep", self._later(uptime))

    def _later(self, last: int = 5500) -> str:
        """Let time pass, and whatever the test has put there for a time happen at that time."""
        place = self.folder
        return (
            f'now=$(($(cat {place}/now) + $1)); echo "$now" >{place}/now\n'
            f'read -r up _ <{place}/proc/uptime; up=$((${{up%.*}} + $1)); echo "$up.00 0.0" >{place}/proc/uptime\n'
            f'[ "$up" -gt {last} ] && kill "$PPID"\n'
            f'for step in {place}/at-*; do at=${{step##*-}}; [ -e "$step" ] && [ "$up" -ge "$at" ] && '
            f'{{ sh "$step"; rm "$step"; }}; done; exit 0'
        )

    def write(self, name: str, text: str) -> None:
        """Write a file of the guest."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(f"{text}\n")

    def tool(self, name: str, script: str) -> None:
        """Replace a program of the guest."""
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}")
        (self.bin / name).chmod(0o755)

    def at(self, uptime: int, script: str) -> None:
        """Let a script run when the guest has been up so many seconds."""
        self.write(f"at-{uptime}", script)

    def install(self) -> None:
        """Run the boothook."""
        subprocess.run(["sh", str(self.hook)], check=True, timeout=20)

    def run(self) -> list[str]:
        """Let the timer run to its end, or for five hours of the guest, and return what it said and did."""
        self.install()
        subprocess.run([str(self.folder / "usr/local/sbin/cms-lease"), "run"], check=False, timeout=60)
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


def test_it_warns_ten_minutes_and_one_minute_before_and_powers_off_at_the_end(tmp_path: Path) -> None:
    said = Guest(tmp_path, expires=3000.0).run()
    assert [line.split()[0] for line in said[:2]] == ["2400", "2940"]
    assert "ends in 10 minutes; it powers off then. cms vm renew web1" in said[0]
    assert "ends in 60 seconds" in said[1]
    assert said[-1] == "off 3000"
    assert len(said) == 4


def test_systemd_starts_it_now_and_at_every_boot(tmp_path: Path) -> None:
    guest = Guest(tmp_path, expires=3000.0)
    guest.install()
    assert (tmp_path / "units").read_text().splitlines() == [
        "-q enable cms-lease.service", "--no-block start cms-lease.service",
    ]  # fmt: skip
    assert "cms-lease run\nRestart=always" in (tmp_path / "etc/systemd/system/cms-lease.service").read_text()


def test_a_renewal_in_the_file_is_seen_within_a_minute(tmp_path: Path) -> None:
    guest = Guest(tmp_path, expires=1400.0)
    guest.at(300, f'echo "2200 200" >{guest.file}')
    assert guest.run()[-1] == "off 2200"


def test_never_ends_nothing_and_a_later_end_counts_again(tmp_path: Path) -> None:
    guest = Guest(tmp_path, expires=1400.0)
    guest.at(300, f'echo "0 200" >{guest.file}')
    guest.lasts(700)
    assert not [line for line in guest.run() if line.startswith("off")]


def test_what_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    guest = Guest(tmp_path, expires=1400.0)
    guest.at(300, f'echo "garbage" >{guest.file}')
    guest.lasts(700)
    assert not [line for line in guest.run() if line.startswith("off")]


def test_an_older_order_does_not_overrule_a_renewal(tmp_path: Path) -> None:
    guest = Guest(tmp_path, expires=1400.0)
    guest.write("var/lib/cms/lease", "9000 300")
    guest.install()
    assert guest.file.read_text() == "9000 300\n"
    guest.write("var/lib/cms/lease", "9000 99")
    guest.install()
    assert guest.file.read_text() == "1400 100\n"


def test_a_start_after_the_end_and_a_jump_of_the_clock_leave_a_minute(tmp_path: Path) -> None:
    assert Guest(tmp_path, expires=500.0).run()[-1] == "off 1060"
    (tmp_path / "two").mkdir()
    guest = Guest(tmp_path / "two", expires=2600.0)
    guest.at(90, f"echo 6000 >{guest.folder}/now")
    said = guest.run()
    assert said[-1] == "off 6060"
    assert "ends in 60 seconds" in said[0]


def test_a_jump_that_is_taken_back_ends_nothing(tmp_path: Path) -> None:
    guest = Guest(tmp_path, expires=2600.0)
    guest.at(90, f"echo 900000 >{guest.folder}/now")
    guest.at(120, f"echo 1120 >{guest.folder}/now")
    assert guest.run()[-1] == "off 2600"


def on_aws(folder: Path, expires: float) -> Guest:
    """Return a guest with a metadata service whose tags are files."""
    guest = Guest(folder, source="aws", expires=expires)
    guest.write("tags/Name", "web1")
    guest.tool(
        "curl",
        f'cd "{folder}" || exit 7; for url; do :; done\n'
        'case "$*" in *"-X PUT"*api/token) echo secret ;; *"token: secret"*/tags/instance) ls tags ;;\n'
        '*"token: secret"*) cat "tags/${url##*/}" 2>/dev/null || exit 22 ;; *) exit 22 ;; esac',
    )
    return guest


def test_the_tag_of_the_instance_moves_the_end(tmp_path: Path) -> None:
    guest = on_aws(tmp_path, 1400.0)
    guest.write(f"tags/{lease.TAG}", "2200")
    assert guest.run()[-1] == "off 2200"
    assert guest.file.read_text() == "2200 100\n"


def test_without_an_answer_the_last_known_end_counts(tmp_path: Path) -> None:
    guest = on_aws(tmp_path, 1400.0)
    guest.write(f"tags/{lease.TAG}", "2200")
    guest.at(300, f"rm -r {tmp_path}/tags; echo 'exit 7' >{tmp_path}/bin/curl")
    assert guest.run()[-1] == "off 2200"


@pytest.mark.parametrize(
    "tags", [{lease.TAG: "never"}, {lease.TAG: "1400", lease.GUARD: "yes"}, {}], ids=["never", "protected", "no lease"]
)
def test_never_protection_and_no_lease_in_the_tags_hold_it(tmp_path: Path, tags: dict[str, str]) -> None:
    guest = on_aws(tmp_path, 1400.0)
    guest.lasts(700)
    for tag, value in tags.items():
        guest.write(f"tags/{tag}", value)
    assert not [line for line in guest.run() if line.startswith("off")]


def on_openstack(folder: Path, expires: float, **metadata: str) -> Guest:
    """Return a guest with a metadata service that answers with a file."""
    guest = Guest(folder, source="openstack", expires=expires)
    told = {"uuid": "83679162-1378-4288-a2d4-70e13ec132aa", "meta": metadata, "name": 'a "cms:expires": "7" b'}
    guest.write("meta_data.json", json.dumps(told))
    guest.tool(
        "curl", f'case "$*" in */openstack/latest/meta_data.json) cat {folder}/meta_data.json ;; *) exit 22 ;; esac'
    )
    return guest


def test_the_metadata_of_the_server_move_the_end(tmp_path: Path) -> None:
    guest = on_openstack(tmp_path, 1400.0, **{lease.TAG: "2200", "label": '"cms:expires": "1"'})
    assert guest.run()[-1] == "off 2200"
    assert guest.file.read_text() == "2200 100\n"


@pytest.mark.parametrize("metadata", [{lease.TAG: "never"}, {lease.TAG: "1400", lease.GUARD: "yes"}, {}])
def test_never_protection_and_no_lease_in_the_metadata_hold_it(tmp_path: Path, metadata: dict[str, str]) -> None:
    guest = on_openstack(tmp_path, 1400.0, **metadata)
    guest.lasts(700)
    assert not [line for line in guest.run() if line.startswith("off")]


@pytest.mark.parametrize("answer", ["exit 7", "echo '<html>sign in</html>'", "true"])
def test_metadata_that_cannot_be_read_leave_it_to_the_file(tmp_path: Path, answer: str) -> None:
    guest = on_openstack(tmp_path, 1400.0, **{lease.TAG: "2200"})
    guest.tool("curl", answer)
    assert guest.run()[-1] == "off 1400"


def test_tags_that_a_guest_may_not_read_leave_it_to_the_file(tmp_path: Path) -> None:
    guest = on_aws(tmp_path, 1400.0)
    guest.tool("curl", 'case "$*" in *api/token) echo secret ;; *) exit 22 ;; esac')
    assert guest.run()[-1] == "off 1400"
