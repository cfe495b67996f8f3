from datetime import date

import pytest

from evaluation.measurement.growth import Visit, dates_of, doubling_days, growth_of
from evaluation.measurement.sizes import Sizes
from vestibule.errors import InputError


def sized(case, mm3, side="left"):
    return Sizes(case, side=side, volume_mm3=mm3, volume_ml=mm3 / 1000)


def visits(**days):
    return {case: Visit("p", date.fromisoformat(day)) for case, day in days.items()}


def test_growth_is_told_in_ml_percent_and_doubling_time():
    sizes = [sized("b", 2000.0), sized("a", 1000.0)]
    (growth,) = growth_of(sizes, visits(a="2020-01-01", b="2020-12-31"))
    assert (growth.earlier, growth.later, growth.days) == ("a", "b", 365)
    assert growth.growth_ml == pytest.approx(1.0)
    assert growth.growth_percent == pytest.approx(100.0)
    assert growth.doubling_days == pytest.approx(365.0)


def test_a_volume_that_grows_fourfold_has_doubled_twice():
    assert doubling_days(500.0, 2000.0, 300) == pytest.approx(150.0)


@pytest.mark.parametrize(("before", "after"), [(2.0, 1.0), (1.0, 1.0), (0.0, 1.0)])
def test_what_did_not_grow_from_something_has_no_doubling_time(before, after):
    assert doubling_days(before, after, 100) is None


def test_every_mask_is_set_against_the_one_before():
    sizes = [sized("a", 1000.0), sized("b", 900.0), sized("c", 1800.0)]
    days = visits(a="2020-01-01", b="2021-01-01", c="2022-01-01")
    assert [growth.growth_percent for growth in growth_of(sizes, days)] == pytest.approx([-10.0, 100.0])


def test_a_tumour_that_changes_sides_is_doubtful():
    sizes = [sized("a", 1000.0), sized("b", 1000.0, "right")]
    (growth,) = growth_of(sizes, visits(a="2020-01-01", b="2021-01-01"))
    assert "on the left, later on the right" in growth.problem


def test_two_masks_of_a_day_are_refused():
    with pytest.raises(InputError, match="a and b: are of patient p and of one day"):
        growth_of([sized("a", 1.0), sized("b", 1.0)], visits(a="2020-01-01", b="2020-01-01"))


def test_names_tell_patient_and_date():
    found = dates_of(["p7_2021-03-09", "p7_20220310", "p8", "p9_20211399"])
    assert found == {
        "p7_2021-03-09": Visit("p7", date(2021, 3, 9)),
        "p7_20220310": Visit("p7", date(2022, 3, 10)),
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,p,09.03.2021", "line 3: expected a date as 2021-03-09, got '09.03.2021'"),
        ("b,p,2021-03-09", "line 3: names case b a second time"),
        ("z,p,2021-03-09", "line 3: there is no mask of case z"),
        ("a,,2021-03-09", "line 3: has no patient"),
    ],
)
def test_a_faulty_row_of_dates_is_named(tmp_path, row, message):
    table = tmp_path / "dates.csv"
    table.write_text(f"case,patient,date\nb,p,2020-01-01\n{row}\n")
    with pytest.raises(InputError, match=message):
        dates_of(["a", "b"], table)
