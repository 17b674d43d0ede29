"""Prices and limits, which moto has none of: small tables in the documented shapes.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
"""

from __future__ import annotations

import json
import time
from typing import Any
from zlib import crc32

from tests.aws.instances import types
from tests.aws.rules import before
from tests.aws.wire import Call, Refused, Reply, answer
from tests.aws.world import ACCOUNT, World

HOURLY = {
    "t3.nano": 0.0052, "t3.micro": 0.0104, "t3.small": 0.0208, "t3.medium": 0.0416, "t3.large": 0.0832,
    "t4g.nano": 0.0042, "t4g.micro": 0.0084, "t4g.small": 0.0168, "t2.micro": 0.0116, "t2.nano": 0.0058,
    "m5.large": 0.096, "m5.xlarge": 0.192, "m6i.large": 0.096, "c5.large": 0.085, "c5.xlarge": 0.17, "r5.large": 0.126,
    "g4dn.xlarge": 0.526,
}  # fmt: skip
"""Dollars an hour of Linux on demand in us-east-1; other regions cost a little more here."""

FACTOR = {"us-east-1": 1.0, "us-west-2": 1.0, "eu-west-1": 1.1, "eu-central-1": 1.15}
SPOT_SHARE = 0.35
ENDPOINTS = ("us-east-1", "eu-central-1", "ap-south-1")
"""Where the service of prices is."""

_IPV4 = {"group": "VPCPublicIPv4Address"}
THINGS = (
    ("AmazonVPC", "", "PublicIPv4:InUseAddress", _IPV4, "Hrs", 0.0051),
    ("AmazonVPC", "", "PublicIPv4:IdleAddress", _IPV4, "Hrs", 0.005),
    ("AmazonVPC", "", "PublicIPv4:ContiguousBlock", _IPV4, "Hrs", 0.001),
    ("AmazonEC2", "Storage", "EBS:VolumeUsage.gp3", {"volumeApiName": "gp3"}, "GB-Mo", 0.08),
    ("AmazonEC2", "Storage Snapshot", "EBS:SnapshotUsage", {}, "GB-Mo", 0.05),
    ("AmazonEC2", "Storage Snapshot", "EBS:SnapshotArchiveStorage", {}, "GB-Mo", 0.0125),
)  # fmt: skip
"""Dollars in us-east-1 of what is no instance: service, family, usage type, other attributes, unit."""

QUOTAS = (
    ("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 32.0),
    ("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances", 0.0),
    ("ec2", "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 32.0),
    ("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5.0),
    ("ebs", "L-7A658B76", "Storage for General Purpose SSD (gp3) volumes, in TiB", 50.0),
    ("ebs", "L-309BACF6", "Snapshots per Region", 100000.0),
    ("vpc", "L-F678F1CE", "VPCs per Region", 5.0),
    ("vpc", "L-E79EC296", "VPC security groups per Region", 2500.0),
)


def _json(value: object) -> Reply:
    return Reply(body=json.dumps(value).encode(), type="application/x-amz-json-1.1")


@before("GetProducts")
def products(_world: World, call: Call) -> Reply | None:
    """Answer what instances cost, by the filters that are given."""
    if call.region not in ENDPOINTS:
        raise Refused("InvalidSignatureException", "Credential should be scoped to a valid region.", 403)
    asked = call.json()
    if asked.get("ServiceCode") not in ("AmazonEC2", "AmazonVPC"):
        raise Refused("NotFoundException", f"{asked.get('ServiceCode')} is not here")
    wanted = {each["Field"]: each["Value"] for each in asked.get("Filters", [])}
    found = [_product(flavor, region) for region in FACTOR for flavor in HOURLY]
    found += [_thing(*thing, region) for region in FACTOR for thing in THINGS]
    rows = [row for row in found if row["serviceCode"] == asked["ServiceCode"] and _fits(row, wanted)]
    begin, size = int(asked.get("NextToken") or 0), min(int(asked.get("MaxResults") or 100), 100)
    more = {"NextToken": str(begin + size)} if rows[begin + size :] else {}
    page = [json.dumps(row) for row in rows[begin : begin + size]]
    return _json({"FormatVersion": "aws_v1", "PriceList": page, **more})


def _fits(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    told = {**row["product"]["attributes"], "productFamily": row["product"].get("productFamily")}
    return all(told.get(key) == value for key, value in wanted.items())


def _thing(service: str, family: str, usage: str, more: dict[str, str], unit: str, price: float, region: str) -> Any:
    """Return the row of a thing that is no instance; the first region has no prefix in its usage types."""
    prefix = "" if region == "us-east-1" else f"{region[:2].upper()}W1-"
    sku = format(crc32(f"{usage} {region}".encode()), "012d")
    rate = {"unit": unit, "pricePerUnit": {"USD": f"{price * FACTOR[region]:.10f}"}, "beginRange": "0"}
    term = {"sku": sku, "offerTermCode": "JRTCKXETXF", "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": rate}}
    attributes = {"regionCode": region, "usagetype": f"{prefix}{usage}", "servicecode": service, **more}
    return {
        "product": {"attributes": attributes, "sku": sku, **({"productFamily": family} if family else {})},
        "serviceCode": service,
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "version": "20250101000000",
    }


def _product(flavor: str, region: str) -> dict[str, Any]:
    table = types()[flavor]
    sku = format(crc32(f"{flavor} {region}".encode()), "012d")
    price = {"unit": "Hrs", "pricePerUnit": {"USD": f"{HOURLY[flavor] * FACTOR[region]:.10f}"}, "beginRange": "0"}
    term = {"sku": sku, "offerTermCode": "JRTCKXETXF", "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": price}}
    attributes = {
        "instanceType": flavor, "regionCode": region, "location": region, "operatingSystem": "Linux",
        "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "licenseModel": "No License required",
        "marketoption": "OnDemand", "operation": "RunInstances", "currentGeneration": "Yes",
        "vcpu": str(table["VCpuInfo"]["DefaultVCpus"]), "memory": f"{table['MemoryInfo']['SizeInMiB'] / 1024:g} GiB",
        "servicecode": "AmazonEC2", "locationType": "AWS Region",
    }  # fmt: skip
    return {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "version": "20250101000000",
    }


@before("ListServiceQuotas", "ListAWSDefaultServiceQuotas")
def quotas(_world: World, call: Call) -> Reply | None:
    """Answer the limits of a service, in pages."""
    asked = call.json()
    rows = [_quota(call, *row) for row in QUOTAS if row[0] == asked.get("ServiceCode")]
    if not rows:
        raise Refused("NoSuchResourceException", f"The service {asked.get('ServiceCode')} is not here")
    begin, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or 100)
    more = {"NextToken": str(begin + size)} if rows[begin + size :] else {}
    return _json({"Quotas": rows[begin : begin + size], **more})


@before("GetServiceQuota", "GetAWSDefaultServiceQuota")
def quota(_world: World, call: Call) -> Reply | None:
    """Answer one limit."""
    asked = call.json()
    for row in QUOTAS:
        if row[:2] == (asked.get("ServiceCode"), asked.get("QuotaCode")):
            return _json({"Quota": _quota(call, *row)})
    raise Refused("NoSuchResourceException", "The quota is not here")


def _quota(call: Call, service: str, code: str, name: str, value: float) -> dict[str, Any]:
    return {
        "ServiceCode": service, "ServiceName": service.upper(), "QuotaCode": code, "QuotaName": name, "Value": value,
        "QuotaArn": f"arn:aws:servicequotas:{call.region}:{ACCOUNT}:{service}/{code}", "Unit": "None",
        "Adjustable": True, "GlobalQuota": False,
    }  # fmt: skip


@before("DescribeSpotPriceHistory")
def spot_prices(world: World, call: Call) -> Reply | None:
    """Answer what spot instances cost now."""
    wanted = call.rows("InstanceType") or call.filters().get("instance-type", [])
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    zones = [each.name for each in world.backend(call.region).describe_availability_zones()]
    items = "".join(
        f"<item><instanceType>{flavor}</instanceType><productDescription>Linux/UNIX</productDescription>"
        f"<spotPrice>{HOURLY[flavor] * FACTOR.get(call.region, 1.2) * SPOT_SHARE:.6f}</spotPrice>"
        f"<timestamp>{now}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
        for flavor in HOURLY
        if not wanted or flavor in wanted
        for zone in zones
    )
    return answer(call.action, f"<spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken/>")
