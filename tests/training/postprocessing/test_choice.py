from training.postprocessing.choice import best_of, is_better
from training.postprocessing.scores import Score


def scores(*pairs):
    return [Score(dice, assd_mm) for dice, assd_mm in pairs]


DEFAULT = scores((0.8, 1.0), (0.8, 1.0), (0.8, 1.0), (0.8, 1.0))


def test_default_stays_where_nothing_differs():
    assert best_of({"default": DEFAULT, "other": DEFAULT}, "default") == "default"


def test_fewer_failures_go_before_a_higher_dice():
    failing = scores((0.9, 0.5), (0.9, 0.5), (0.9, 0.5), (0.0, None))
    assert not is_better(failing, DEFAULT)
    assert is_better(DEFAULT, failing)
    far = scores((0.9, 0.5), (0.9, 0.5), (0.9, 0.5), (0.9, 5.5))
    assert is_better(DEFAULT, far)


def test_gain_that_costs_no_case_anything_is_taken():
    assert is_better(scores((0.8, 1.0), (0.8, 1.0), (0.8, 1.0), (0.81, 0.9)), DEFAULT)
    # A distant part gone may show in the distance alone.
    assert is_better(scores((0.8, 1.0), (0.8, 1.0), (0.8, 1.0), (0.8, 0.4)), DEFAULT)


def test_gain_within_chance_is_not_taken():
    # Mean gain 0.01, standard error 0.0091.
    assert not is_better(scores((0.83, 1.0), (0.79, 1.0), (0.82, 1.0), (0.80, 1.0)), DEFAULT)


def test_gain_beyond_chance_is_taken_unless_surfaces_move_away():
    # Mean gain 0.0225, standard error 0.0085.
    gains = [0.03, 0.04, 0.02, 0.0]
    assert not is_better(scores(*((0.8 + gain, 1.1) for gain in gains)), DEFAULT)
    mixed = [(0.83, 0.9), (0.84, 1.1), (0.82, 0.9), (0.80, 1.0)]
    assert is_better(scores(*mixed), DEFAULT)


def test_of_better_ones_the_best_is_chosen():
    good = scores(*[(0.85, 0.9)] * 4)
    best = scores(*[(0.9, 0.9)] * 4)
    assert best_of({"default": DEFAULT, "good": good, "best": best}, "default") == "best"
    assert best_of({"best": best, "default": DEFAULT, "good": good}, "default") == "best"
