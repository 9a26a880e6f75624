"""`ossvol serve --switch`: the cloud's configuration by name."""

from __future__ import annotations

import pytest

from osscloud.service import ServiceConfig
from ossvol.errors import UsageError
from ossvol.switches import switched


def test_each_kind_of_switch_is_set() -> None:
    found = switched(
        ServiceConfig(),
        [
            "max_buckets=500",
            "website_head=false",
            "index_page=missing",
            "regions=cn-hangzhou,cn-beijing",
            "vpcs=10.0.0.0/8:vpc-a,fd00::/8:vpc-b",
        ],
    )
    assert (found.max_buckets, found.website_head, found.index_page) == (500, False, "missing")
    assert found.regions == ("cn-hangzhou", "cn-beijing")
    assert found.vpcs == (("10.0.0.0/8", "vpc-a"), ("fd00::/8", "vpc-b"))
    assert switched(ServiceConfig(), []) == ServiceConfig()


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("max_buckets", "write NAME=VALUE"),
        ("max_bucket=1", "there is no switch 'max_bucket'; did you mean max_buckets?"),
        ("zzz=1", "there are region, domains"),
        ("endpoint=x", "there is no switch 'endpoint'"),
        ("max_buckets=many", "Input should be a valid integer"),
        ("max_buckets=-1", "a number below 0 makes no sense"),
        ("index_page=never", "Input should be 'always' or 'missing'"),
        ("website_head=perhaps", "Input should be a valid boolean"),
        ("vpcs=10.0.0.0", "write NETWORK:VPC"),
    ],
)
def test_a_switch_that_can_not_be_is_told(assignment: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        switched(ServiceConfig(), [assignment])
    assert str(caught.value).startswith(f"--switch {assignment}: ")
    assert message in str(caught.value)
