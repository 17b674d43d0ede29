"""The rows of the replay server: images and instances as EC2 describes them, in full."""

from __future__ import annotations

from typing import NamedTuple
from xml.sax.saxutils import escape

CANONICAL, DEBIAN, AMAZON = "099720109477", "136693071363", "137112412989"
_FAMILIES = (
    (CANONICAL, "", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-{number}", "Canonical, Ubuntu, 22.04 LTS"),
    (CANONICAL, "", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-{number}", "Canonical, Ubuntu, 24.04"),
    (DEBIAN, "", "debian-12-{arch}-{number}", "Debian 12 (number {number})"),
    (AMAZON, "amazon", "al2023-ami-2023.6.{number}-kernel-6.1-{arch}", "Amazon Linux 2023 AMI {arch} HVM kernel-6.1"),
    (AMAZON, "amazon", "Windows_Server-2022-English-Full-Base-{number}", "Microsoft Windows Server 2022 & more"),
    ("123456789012", "", "my-image-{number}", "One of my own"),
)


class Image(NamedTuple):
    """One image."""

    id: str
    name: str
    owner: str
    alias: str
    arch: str
    created: str
    text: str
    state: str = "available"
    windows: bool = False

    @classmethod
    def numbered(cls, number: int, created: str) -> Image:
        """Return the image of a number: its family and architecture follow from it."""
        owner, alias, name, text = _FAMILIES[number % len(_FAMILIES)]
        windows = name.startswith("Windows")
        arch = "arm64" if number // len(_FAMILIES) % 3 == 0 and not windows else "x86_64"
        facts = {"number": number, "arch": {"x86_64": "amd64"}.get(arch, arch)}
        ident = f"ami-{number * 0x9E3779B97F4A7C15 % 2**68:017x}"
        return cls(ident, name.format(**facts), owner, alias, arch, created, text.format(**facts), windows=windows)


def image_xml(row: Image) -> bytes:
    """Return one item of imagesSet: about 1,070 bytes."""
    lines = [
        ("imageId", row.id), ("imageLocation", f"{row.alias or row.owner}/{row.name}"), ("imageState", row.state),
        ("imageOwnerId", row.owner), ("creationDate", row.created), ("isPublic", "true"), ("architecture", row.arch),
        ("imageType", "machine"), *((("platform", "windows"),) if row.windows else ()),
        ("platformDetails", "Windows" if row.windows else "Linux/UNIX"), ("usageOperation", "RunInstances"),
        *((("imageOwnerAlias", row.alias),) if row.alias else ()), ("name", row.name), ("description", row.text),
        ("rootDeviceType", "ebs"), ("rootDeviceName", "/dev/sda1"),
    ]  # fmt: skip
    head = "".join(f"<{name}>{escape(value)}</{name}>\n" for name, value in lines)
    snapshot = f"snap-{row.id[4:]}"
    return (
        f"<item>\n{head}<blockDeviceMapping>\n<item>\n<deviceName>/dev/sda1</deviceName>\n"
        f"<ebs>\n<snapshotId>{snapshot}</snapshotId>\n<volumeSize>8</volumeSize>\n"
        "<deleteOnTermination>true</deleteOnTermination>\n<volumeType>gp3</volumeType>\n"
        "<encrypted>false</encrypted>\n</ebs>\n</item>\n</blockDeviceMapping>\n"
        "<virtualizationType>hvm</virtualizationType>\n<hypervisor>xen</hypervisor>\n"
        "<enaSupport>true</enaSupport>\n<sriovNetSupport>simple</sriovNetSupport>\n</item>\n"
    ).encode()


_INSTANCE = """\
  <item>
   <reservationId>r-{id}</reservationId>
   <ownerId>123456789012</ownerId>
   <groupSet/>
   <instancesSet>
    <item>
     <instanceId>i-{id}</instanceId>
     <imageId>ami-0abcdef1234567890</imageId>
     <instanceState>
      <code>16</code>
      <name>running</name>
     </instanceState>
     <privateDnsName>ip-10-{a}-{b}-{c}.ec2.internal</privateDnsName>
     <dnsName>ec2-203-{a}-{b}-{c}.compute-1.amazonaws.com</dnsName>
     <reason/>
     <keyName>laptop</keyName>
     <amiLaunchIndex>0</amiLaunchIndex>
     <productCodes/>
     <instanceType>t3.micro</instanceType>
     <launchTime>2026-10-01T12:00:{s:02d}.000Z</launchTime>
     <placement>
      <availabilityZone>us-east-1a</availabilityZone>
      <groupName/>
      <tenancy>default</tenancy>
     </placement>
     <monitoring>
      <state>disabled</state>
     </monitoring>
     <subnetId>subnet-6e7f829e</subnetId>
     <vpcId>vpc-1234567890abcdef0</vpcId>
     <privateIpAddress>10.{a}.{b}.{c}</privateIpAddress>
     <ipAddress>203.{a}.{b}.{c}</ipAddress>
     <sourceDestCheck>true</sourceDestCheck>
     <groupSet>
      <item>
       <groupId>sg-0123456789abcdef0</groupId>
       <groupName>cloudms</groupName>
      </item>
     </groupSet>
     <architecture>x86_64</architecture>
     <rootDeviceType>ebs</rootDeviceType>
     <rootDeviceName>/dev/sda1</rootDeviceName>
     <blockDeviceMapping>
      <item>
       <deviceName>/dev/sda1</deviceName>
       <ebs>
        <volumeId>vol-{id}</volumeId>
        <status>attached</status>
        <attachTime>2026-10-01T12:00:{s:02d}.000Z</attachTime>
        <deleteOnTermination>true</deleteOnTermination>
       </ebs>
      </item>
     </blockDeviceMapping>
     <virtualizationType>hvm</virtualizationType>
     <clientToken>{token}</clientToken>
     <tagSet>
      <item>
       <key>Name</key>
       <value>web-{number:05d}</value>
      </item>
      <item>
       <key>cms:owner</key>
       <value>bench</value>
      </item>
      <item>
       <key>cms:token</key>
       <value>{token}</value>
      </item>
      <item>
       <key>cms:name</key>
       <value>web-{number:05d}</value>
      </item>
     </tagSet>
     <hypervisor>xen</hypervisor>
     <networkInterfaceSet>
      <item>
       <networkInterfaceId>eni-{id}</networkInterfaceId>
       <subnetId>subnet-6e7f829e</subnetId>
       <vpcId>vpc-1234567890abcdef0</vpcId>
       <status>in-use</status>
       <macAddress>02:49:e9:{a:02x}:{b:02x}:{c:02x}</macAddress>
       <privateIpAddress>10.{a}.{b}.{c}</privateIpAddress>
       <attachment>
        <attachmentId>eni-attach-{id}</attachmentId>
        <deviceIndex>0</deviceIndex>
        <deleteOnTermination>true</deleteOnTermination>
       </attachment>
      </item>
     </networkInterfaceSet>
     <ebsOptimized>false</ebsOptimized>
     <cpuOptions>
      <coreCount>1</coreCount>
      <threadsPerCore>2</threadsPerCore>
     </cpuOptions>
     <metadataOptions>
      <state>applied</state>
      <httpTokens>required</httpTokens>
      <httpEndpoint>enabled</httpEndpoint>
     </metadataOptions>
    </item>
   </instancesSet>
  </item>
"""


def instance_xml(number: int) -> bytes:
    """Return one item of reservationSet with one instance: about 3.2 kB."""
    facts = {"a": number >> 16 & 255, "b": number >> 8 & 255, "c": number & 255, "s": number % 60}
    return _INSTANCE.format(id=f"{number:017x}", number=number, token=f"{number:032x}", **facts).encode()
