"""Good and bad requests by the thousand, and a new version among them.

`python -m benchmarks.storm_serving` sends five times as many.
"""

import pytest

from benchmarks import storm_serving

pytestmark = [pytest.mark.serving, pytest.mark.slow]


def test_the_server_lives_through_a_storm():
    found = storm_serving.run(2_000)
    assert sum(count for name, count in found.items() if name.startswith("good")) == 1800
    assert sum(count for name, count in found.items() if name.startswith("bad")) == 200
    assert found["good_rest_of_version_2"] and found["good_grpc_of_version_2"]
    first, *_, last = found["megabytes_after_each_quarter"]
    assert last < 1.1 * first
