"""Jobs over HTTP, asked of a real service with a real worker."""

import csv
import http.client
import io
import json
import sqlite3
import time
import urllib.request
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from services.jobs.inputs import MAX_PARSED_BYTES
from tests import tiny
from tests.services.conftest import Service
from tests.services.http_client import JSON, ask
from tests.services.jobs.client import (
    all_results,
    ended,
    people,
    rows_body,
    status_of,
    submit,
)

pytestmark = pytest.mark.slow
VOLATILE = ("prediction_id", "time")


def answer_of(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs from one answer to the next."""
    return {name: value for name, value in result.items() if name not in VOLATILE}


@pytest.mark.parametrize("model", ["tiny", "tiny3", "tinyvalue", "tinypair"])
def test_a_job_answers_bit_for_bit_like_the_batch_route(service: Service, model: str) -> None:
    """Rows that are clipped, flagged, unseen, incomplete and wrong; more than one chunk."""
    rows: list[Any] = people(2500, seed=3)
    rows[7] = rows[7] | {"age": -1}
    rows[1999] = {"age": "old"}
    rows[2400] = 5
    job = submit(service, rows_body(rows), model)
    expected: list[dict[str, Any]] = []
    for start, stop in ((0, 833), (833, 1666), (1666, 2500)):
        _, answer, _ = ask(service, f"/models/{model}/predict/batch", rows_body(rows[start:stop]))
        expected += answer["results"]

    done = ended(service, job["id"])
    assert (done["state"], done["rows"], done["rows_done"]) == ("finished", 2500, 2500)
    results = all_results(service, job["id"], 700)
    good = [index for index in range(2500) if "error" not in expected[index]]
    assert done["rejected"] == 2500 - len(good)
    assert [index for index in range(2500) if "error" not in results[index]] == good
    assert all(answer_of(results[i]) == answer_of(expected[i]) for i in good)
    assert results[7]["error"]["violations"][0]["path"] == "rows[7].age"
    assert results[2400]["error"]["violations"][0]["path"] == "rows[2400]"


def test_columns_and_csv_give_the_same_results_as_rows(service: Service) -> None:
    rows = people(120, seed=5)
    names = list(tiny.GOOD)
    columns = json.dumps({"columns": {name: [row[name] for row in rows] for name in names}})
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    jobs = [
        submit(service, rows_body(rows)),
        submit(service, columns.encode()),
        submit(service, text.getvalue().encode(), headers={"content-type": "text/csv"}),
    ]
    for job in jobs:
        assert ended(service, job["id"])["state"] == "finished"
    answers = [[answer_of(each) for each in all_results(service, job["id"])] for job in jobs]

    assert answers[0] == answers[1] == answers[2]


def test_what_a_job_was_asked_stays_traceable(service: Service) -> None:
    """The traffic log has each row, with the job as its request; the job names its version."""
    job = submit(service, rows_body(people(30, seed=8)))
    done = ended(service, job["id"])
    _, model, _ = ask(service, "/models/tiny", None, "GET")
    records = [
        json.loads(line)
        for file in service.layout.traffic("tiny").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    own = {each["prediction_id"] for each in records if each["request_id"] == job["id"]}

    assert (done["version"], done["digest"]) == (model["version"], model["digest"])
    assert {each["prediction_id"] for each in all_results(service, job["id"])} == own
    assert len(own) == 30


def test_put_is_idempotent_and_refuses_another_body(service: Service) -> None:
    body = rows_body(people(3))
    path = "/jobs/order-1?model=tiny"
    first = ask(service, path, body, "PUT")
    again = ask(service, path, body, "PUT")
    other = ask(service, path, rows_body(people(3, seed=1)), "PUT")
    model = ask(service, "/jobs/order-1?model=tiny3", body, "PUT")
    ended(service, "order-1")
    late = ask(service, path, body, "PUT")

    assert first[0] == 202
    assert first[2]["location"] == "/jobs/order-1"
    assert again[1]["created_at"] == first[1]["created_at"] == late[1]["created_at"]
    assert late[0] == 200
    for status, answer, _ in (other, model):
        assert (status, answer["error"]["code"]) == (409, "job_conflict")


def test_the_batch_route_makes_a_job_for_who_prefers_one(service: Service) -> None:
    body = rows_body(people(2))
    headers = JSON | {"prefer": "respond-async, wait=10"}
    status, job, answered = ask(service, "/models/tiny/predict/batch", body, headers=headers)
    waited, answer, _ = ask(
        service, "/models/tiny/predict/batch", body, headers=JSON | {"prefer": "return=minimal"}
    )

    assert (status, answered["preference-applied"]) == (202, "respond-async")
    assert ended(service, job["id"])["state"] == "finished"
    assert (waited, len(answer["results"])) == (200, 2)


def test_results_come_as_json_csv_and_parquet(service: Service) -> None:
    rows: list[Any] = people(50, seed=2)
    rows[3] = {}
    job = submit(service, rows_body(rows))
    ended(service, job["id"])
    path = f"/jobs/{job['id']}/results?limit=20"
    _, page, headers = ask(service, path, None, "GET")
    _, text, of_csv = ask(service, path, None, "GET", {"accept": "text/csv"})
    data, of_parquet = raw(service, path, "application/vnd.apache.parquet")
    records = list(csv.DictReader(io.StringIO(text)))
    table = pq.read_table(io.BytesIO(data)).to_pylist()

    assert (len(page["results"]), page["rows"], page["next"]) == (20, 50, "20")
    assert headers["link"] == f'</jobs/{job["id"]}/results?cursor=20&limit=20>; rel="next"'
    assert of_csv["content-type"] == "text/csv"
    assert of_parquet == "application/vnd.apache.parquet"
    for index, result in enumerate(page["results"]):
        assert records[index]["row"] == str(index)
        if index == 3:
            assert records[3]["error_code"] == table[3]["error_code"] == "invalid_request"
            continue
        assert records[index]["prediction_id"] == result["prediction_id"]
        assert table[index]["probabilities.yes"] == result["probabilities"]["yes"]
        assert float(records[index]["probabilities.yes"]) == result["probabilities"]["yes"]
    status, answer, _ = ask(service, path, None, "GET", {"accept": "image/png"})
    assert (status, answer["error"]["code"]) == (406, "not_acceptable")


def raw(service: Service, path: str, accept: str) -> tuple[bytes, str]:
    """Bytes and media type of a response."""
    request = urllib.request.Request(f"{service.url}{path}", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read(), str(answer.headers["content-type"])


def lock(service: Service) -> sqlite3.Connection:
    """The database of a service, locked: nobody can write until it is closed."""
    connection = sqlite3.connect(service.layout.jobs, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_a_job_is_cancelled_and_one_that_ended_is_not(service: Service) -> None:
    job = submit(service, rows_body(people(60_000)))
    status, cancelled, _ = ask(service, f"/jobs/{job['id']}", None, "DELETE")
    results, answer, _ = ask(service, f"/jobs/{job['id']}/results", None, "GET")
    again, ended_already, _ = ask(service, f"/jobs/{job['id']}", None, "DELETE")
    time.sleep(0.5)

    assert (status, cancelled["state"]) == (200, "cancelled")
    assert (results, answer["error"]["code"]) == (409, "job_unfinished")
    assert (again, ended_already["error"]["code"]) == (409, "job_ended")
    assert status_of(service, job["id"])["state"] == "cancelled"


def test_open_jobs_are_listed_page_by_page(service: Service) -> None:
    blocking = submit(service, rows_body(people(60_000)))
    ids = [submit(service, rows_body(people(1)))["id"] for _ in range(5)]
    found: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        _, page, _ = ask(service, f"/jobs?limit=2&cursor={cursor}", None, "GET")
        found += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    ask(service, f"/jobs/{blocking['id']}", None, "DELETE")
    for job_id in ids:
        ended(service, job_id)

    assert set(ids) <= set(found)
    assert ask(service, "/jobs", None, "GET")[1] == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "/jobs/never", None, JSON, 404, "unknown_job"),
        ("DELETE", "/jobs/never", None, JSON, 404, "unknown_job"),
        ("GET", "/jobs/..", None, JSON, 404, "not_found"),
        ("GET", "/jobs/x/y", None, JSON, 404, "not_found"),
        ("POST", "/models/none/jobs", b'{"rows": [{}]}', JSON, 404, "unknown_model"),
        ("PUT", "/jobs/x?model=none", b'{"rows": [{}]}', JSON, 404, "unknown_model"),
        ("PUT", "/jobs/x", b'{"rows": [{}]}', JSON, 422, "invalid_request"),
        ("POST", "/models/tiny/jobs", b"{", JSON, 400, "invalid_json"),
        ("POST", "/models/tiny/jobs", b'{"rows": []}', JSON, 422, "invalid_request"),
        ("POST", "/models/tiny/jobs", b'{"rows": [{}], "x": 1}', JSON, 422, "invalid_request"),
        ("POST", "/models/tiny/jobs", b"{}", JSON, 422, "invalid_request"),
        ("POST", "/models/tiny/jobs?x=1", b"{}", JSON, 422, "invalid_request"),
        ("POST", "/models/tiny/jobs", b"\xff", {"content-type": "text/csv"}, 400, "invalid_csv"),
        ("POST", "/models/tiny/jobs", b"x", {"content-type": "x/y"}, 415, "unsupported_media_type"),
        ("GET", "/models/tiny/jobs", None, JSON, 405, "method_not_allowed"),
        ("PATCH", "/jobs/x", None, JSON, 405, "method_not_allowed"),
        ("GET", "/jobs?limit=0", None, JSON, 422, "invalid_request"),
        ("GET", "/jobs?cursor=-1", None, JSON, 422, "invalid_request"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_at_once(
    service: Service,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    got, answer, _ = ask(service, path, body, method, headers)

    assert (got, answer["error"]["code"]) == (status, code), answer


def test_a_name_that_is_no_models_makes_no_series(service: Service) -> None:
    to = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)
    to.request("OPTIONS", "/models/nobody/jobs")
    assert to.getresponse().status == 204
    to.close()
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()

    assert "slipway_requests_total{" in text
    assert "nobody" not in text


def test_a_number_beyond_float64_is_refused_in_a_job_as_in_a_batch(service: Service) -> None:
    good = people(2)
    rows = b'{"rows": [{"income": 1e999, %b}, %b]}' % (
        json.dumps({k: v for k, v in good[0].items() if k != "income"})[1:-1].encode(),
        # Another "rows" makes the body one that is not plain.
        json.dumps(good[1] | {"region": "rows"}).encode(),
    )
    _, answer, _ = ask(service, "/models/tiny/predict/batch", rows)
    job = ended(service, submit(service, rows)["id"])
    results = all_results(service, job["id"])

    assert job["rejected"] == 1
    assert results[0]["error"]["violations"] == answer["results"][0]["error"]["violations"]


def test_a_large_body_is_checked_by_the_worker_as_a_small_one_is_by_the_service(
    service: Service,
) -> None:
    rows = rows_body(people(12_000))
    assert len(rows) > MAX_PARSED_BYTES
    job = submit(service, rows)
    broken = submit(service, rows.replace(b'"age":', b'"age";', 1))
    status, refused, _ = ask(service, "/models/tiny/jobs", rows[:-1])

    assert job["rows"] == broken["rows"] == 12_000
    assert (status, refused["error"]["code"]) == (400, "invalid_json")
    assert ended(service, job["id"])["rows_done"] == 12_000
    failed = ended(service, broken["id"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "invalid_json")


def test_options_and_head_are_answered(service: Service) -> None:
    status, _, headers = ask(service, "/jobs/x", None, "OPTIONS")
    head, body, _ = ask(service, "/jobs", None, "HEAD")

    assert (status, headers["allow"]) == (204, "GET, HEAD, PUT, DELETE, OPTIONS")
    assert (head, body) == (200, "")


def test_a_table_that_nobody_can_read_fails_with_its_cause(service: Service) -> None:
    job = submit(service, b'a,b\n1,"2\n', headers={"content-type": "text/csv"})
    done = ended(service, job["id"])

    assert (done["state"], done["error"]["code"]) == ("failed", "invalid_csv")
    assert ask(service, f"/jobs/{job['id']}/results", None, "GET")[0] == 409


def test_a_locked_database_refuses_jobs_and_holds_up_no_prediction(service: Service) -> None:
    submit(service, rows_body(people(1)))
    with closing(lock(service)):
        began = time.monotonic()
        status, answer, headers = ask(service, "/models/tiny/jobs", rows_body(people(1)))
        waited_s = time.monotonic() - began
        predicted, _, _ = ask(service, "/models/tiny/predict")

    assert (status, answer["error"]["code"]) == (503, "jobs_unavailable")
    assert "retry-after" in headers
    assert 4 < waited_s < 20
    assert predicted == 200
