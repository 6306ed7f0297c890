"""What the loaders of the serving benchmark print, as they print it."""

import math

import pytest

from tests.benchmarks.serving.loaders import Load, parse_h2load, parse_wrk, refusals_counted

WRK = """Running 1s test @ http://127.0.0.1:8000/v1/models/bench:predict
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.71ms    1.02ms  19.82ms   91.94%
    Req/Sec     3.01k   215.62     3.31k    72.73%
  3293 requests in 1.10s, 1.05MB read
Requests/sec:   2994.02
Transfer/sec:      0.95MB

{"requests":3293,"microseconds":1099859,"refused":0,"broken":0,"p50":2515,"p99":6789,"max":19820}
"""

H2LOAD = """starting benchmark...
spawning thread #0: 2 total client(s). Timing-based test with 0s of warm-up time and 1s of main duration.
Application protocol: h2c
Main benchmark duration is over for thread #0. Stopping all clients.
Stopped all clients for thread #0

finished in 1.00s, 4.00 req/s, 171.23KB/s
requests: 4 total, 6 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 171.23KB (175336) total, 8.15KB (8349) headers (space savings 96.23%), 420B (420) data
                     min         max         mean         sd        +/- sd
time for request:      181us     13.91ms       716us       886us    91.91%
req/s           :    1358.72     1373.75     1366.23       10.63   100.00%
"""

LOG = "".join(f"1795656041580853\t200\t{time}\n" for time in (9350, 12190, 4630, 700))


def test_wrk_is_read_from_the_line_its_script_writes():
    assert parse_wrk(WRK) == Load(3293, 1.099859, 2515, 6789, failed=0)


def test_wrk_s_refusals_and_broken_connections_are_failures():
    said = WRK.replace('"refused":0,"broken":0', '"refused":5,"broken":2')
    assert parse_wrk(said).failed == 7


def test_wrk_that_says_nothing_is_an_error():
    with pytest.raises(ValueError, match="wrk said nothing"):
        parse_wrk("unable to connect to 127.0.0.1:8000 Connection refused\n")


def test_h2load_is_read_from_its_summary_and_its_log():
    load = parse_h2load(H2LOAD, LOG)
    assert (load.requests, load.seconds, load.p50_us, load.p99_us) == (4, 1.0, 9350, 12190)
    assert (load.failed, load.answer_bytes, load.rate) == (0, 420, 4.0)


@pytest.mark.parametrize(("said", "seconds"), [("1.05s", 1.05), ("980.20ms", 0.9802), ("950us", 0.00095)])
def test_h2load_s_duration_has_a_unit(said, seconds):
    assert parse_h2load(H2LOAD.replace("finished in 1.00s", f"finished in {said}"), LOG).seconds == pytest.approx(
        seconds
    )


def test_failed_streams_of_h2load_are_failures_and_have_no_time():
    load = parse_h2load(H2LOAD, LOG + "1795656041590300\t-1\t10\n1795656041590300\t503\t20\n")
    assert (load.requests, load.failed) == (4, 2)


def test_h2load_without_any_success_has_no_times():
    load = parse_h2load(H2LOAD, "1795656041590300\t-1\t10\n")
    assert (load.requests, load.failed) == (0, 1)
    assert math.isnan(load.p50_us)


def test_h2load_that_says_nothing_is_an_error():
    with pytest.raises(ValueError, match="h2load said nothing"):
        parse_h2load("", "")


def test_refusals_over_grpc_which_h2load_takes_for_successes_are_told_by_the_missing_bytes():
    load = Load(requests=4, seconds=1, p50_us=1, p99_us=1, failed=0, answer_bytes=315)
    assert refusals_counted(load, answer_bytes=105).failed == 1
    assert refusals_counted(load, answer_bytes=78).failed == 0
