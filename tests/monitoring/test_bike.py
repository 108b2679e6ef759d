"""On real rentals: few alarms of drift, and labels that tell what features cannot."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data" / "bike_sharing_hour.csv"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_file(), reason="the bike-sharing data are not here")
def test_bike_rentals_drift_in_hot_weeks_and_the_model_fails_in_most() -> None:
    from benchmarks.monitoring.bike import judge, load

    months = judge(load(DATA), with_evidently=False)
    weeks = sum(month.weeks for month in months.values())
    hot = {name for name, month in months.items() if month.ours["temp"]}

    assert weeks == 78
    assert sum(month.our_alarms for month in months.values()) <= 0.4 * weeks
    assert (
        {"2011-07", "2012-08"}
        <= hot
        <= {f"{y}-{m:02d}" for y in (2011, 2012) for m in range(5, 10)}
    )
    assert sum(month.worse for month in months.values()) >= 0.9 * weeks
