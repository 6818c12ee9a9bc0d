import shutil
from pathlib import Path

import pytest

from shared_code import thresholds as module
from shared_code.errors import InvalidError, SettingsError
from shared_code.readings import SENSOR_FIELDS, UNCHANGED
from shared_code.settings import CONFIG
from shared_code.thresholds import Limits, RuleChanges, thresholds

# field: normal, warning above, critical above, warning below, critical below, plausible
SENSORS = {
    "vibration_mms": ((1.5, 4.5), 6, 8, None, None, (0, 50)),
    "discharge_temp_f": ((180, 220), 240, 260, None, None, (-40, 500)),
    "suction_pressure_psi": ((40, 80), None, None, 30, 20, (0, 500)),
    "discharge_pressure_psi": ((900, 1200), 1300, 1400, None, None, (0, 3000)),
    "horsepower_consumption": ((1200, 1600), 1800, None, None, None, (0, 10_000)),
    "gas_flow_mcf": ((8_000, 12_000), None, None, 6_000, None, (0, 100_000)),
}
DERIVED = {
    "pressure_differential": ((800, 1150), 1250, None, None, None),
    "temp_rate_of_change": (None, 20, 40, None, None),
    **dict.fromkeys(UNCHANGED.values(), (None, 2, None, None, None)),
    "distance_from_usual": (None, 1, None, None, None),
}


def severities(limits: Limits) -> tuple[object, ...]:
    return (
        limits.normal,
        limits.warning_above,
        limits.critical_above,
        limits.warning_below,
        limits.critical_below,
    )


def in_order(limits: Limits, lowest: float, highest: float) -> bool:
    """Tell whether going away from normal one meets the warning first, then critical, then what is implausible."""
    low, high = limits.normal or (lowest, lowest)
    steps = [
        *(limit for limit in (limits.critical_below, limits.warning_below) if limit is not None),
        low,
        high,
        *(limit for limit in (limits.warning_above, limits.critical_above) if limit is not None),
    ]
    return steps == sorted(steps) and lowest <= steps[0] and steps[-1] <= highest


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the file that a test may change."""
    monkeypatch.setattr(module, "CONFIG", tmp_path)
    return Path(shutil.copy(CONFIG / "thresholds.yaml", tmp_path))


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_the_sensors_limits_are_those_of_the_domain() -> None:
    found = {field: (*severities(limits), limits.plausible) for field, limits in thresholds().sensors.items()}

    assert found == SENSORS


def test_the_derived_limits_are_those_of_the_domain() -> None:
    assert {name: severities(limits) for name, limits in thresholds().derived.items()} == DERIVED


def test_every_sensor_of_a_reading_has_limits_and_nothing_else_has() -> None:
    assert set(thresholds().sensors) == set(SENSOR_FIELDS)


@pytest.mark.parametrize("field", SENSOR_FIELDS)
def test_limits_lie_in_order(field: str) -> None:
    limits = thresholds().sensors[field]

    assert in_order(limits, *limits.plausible)


def test_a_spike_lies_four_sigmas_off() -> None:
    assert thresholds().quality.spike_sigmas == 4


def test_a_sensor_without_limits_is_refused(written: Path) -> None:
    change(written, "gas_flow_mcf:", "gas_flow_mcm:")
    change(written, "vibration_mms:", "vibration_ips:")

    with pytest.raises(SettingsError, match="no limits for gas_flow_mcf, vibration_mms "):
        thresholds.__wrapped__()


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("warning_above: 6\n", "warning_above: six\n", "sensors.vibration_mms.warning_above"),
        ("warning_above: 6\n", "warning_abvoe: 6\n", "sensors.vibration_mms.warning_abvoe"),
        ("plausible: [0, 50]\n", "plausible: [0]\n", "sensors.vibration_mms.plausible"),
        ("noise_floor: 0.1\n", "noise_floor: 0\n", "sensors.vibration_mms.noise_floor"),
        ("    plausible: [-40, 500]\n", "", "sensors.discharge_temp_f.plausible"),
        ("  spike_sigmas: 4\n", "", "quality.spike_sigmas"),
        ("    accuracy: 0.98 ", "    accuracy: high ", "quality.pass.accuracy"),
    ],
)
def test_what_is_no_limit_is_refused_and_named(written: Path, before: str, after: str, named: str) -> None:
    change(written, before, after)

    with pytest.raises(SettingsError) as refused:
        thresholds.__wrapped__()

    assert str(refused.value).startswith("config/thresholds.yaml: ")
    assert named in str(refused.value)


def test_limits_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        thresholds().sensors["vibration_mms"].warning_above = 60


def test_limits_are_read_once() -> None:
    assert thresholds() is thresholds()


def test_a_changed_rule_has_limits_of_its_own_and_everything_else_stays() -> None:
    limits = thresholds()
    changed = limits.changed("vibration_high", RuleChanges(warning_limit=7, off_delay_minutes=90))

    before, after = (each.alarms.rules["vibration_high"] for each in (limits, changed))
    assert (limits.limits_of(before), changed.limits_of(after)) == ((6, 8), (7, 8))
    assert after == before.model_copy(update={"warning_limit": 7, "off_delay_minutes": 90})
    assert changed.sensors is limits.sensors  # what is a spike, and what the fleet shows, does not change
    assert limits.changed("vibration_high", RuleChanges()) == limits
    others = {name: rule for name, rule in changed.alarms.rules.items() if name != "vibration_high"}
    assert others == {name: rule for name, rule in limits.alarms.rules.items() if name != "vibration_high"}
    assert list(changed.alarms.rules) == list(limits.alarms.rules)


@pytest.mark.parametrize(
    ("rule", "changes", "field", "sentence"),
    [
        ("vibration_high", {"warning_limit": 8}, "warning_limit", "8, must lie above the warning limit, 8"),
        ("vibration_high", {"critical_limit": 6}, "critical_limit", "6, must lie above the warning limit, 6"),
        ("suction_pressure_low", {"warning_limit": 15}, "warning_limit", "20, must lie below the warning limit, 15"),
        ("suction_pressure_low", {"critical_limit": -1}, "critical_limit", "from 0 to 500 PSI"),
        ("vibration_high", {"warning_limit": 51, "critical_limit": 60}, "warning_limit", "from 0 to 50 mm/s RMS"),
        ("vibration_high", {"deadband": 6.5}, "deadband", "an alert would never be over"),
        ("suction_pressure_low", {"deadband": 471}, "deadband", "an alert would never be over"),
        ("horsepower_high", {"critical_limit": 1800}, "critical_limit", "must lie above"),
        ("pressure_differential_high", {"critical_limit": 1200}, "critical_limit", "must lie above"),
    ],
)
def test_a_change_that_makes_no_rule_is_refused(
    rule: str, changes: dict[str, float], field: str, sentence: str
) -> None:
    with pytest.raises(InvalidError, match=sentence) as refused:
        thresholds().changed(rule, RuleChanges.model_validate(changes))

    assert refused.value.field == field


@pytest.mark.parametrize("rule", thresholds().alarms.rules)
def test_every_rule_of_the_file_would_be_let_pass(rule: str) -> None:
    assert thresholds().changed(rule, RuleChanges(on_delay_minutes=0)).alarms.rules[rule].on_delay_minutes == 0


def test_wishes_of_an_organization_are_its_rules() -> None:
    limits = thresholds()
    wishes = {
        "vibration_high": RuleChanges(warning_limit=7, enabled=False),
        "gas_flow_low": RuleChanges(latch=True),
        "horsepower_high": RuleChanges(),
    }

    own = limits.as_wanted(wishes)

    rules = own.alarms.rules
    assert (own.limits_of(rules["vibration_high"]), rules["vibration_high"].enabled) == ((7, 8), False)
    assert rules["gas_flow_low"].latch
    assert rules["horsepower_high"] == limits.alarms.rules["horsepower_high"]
    assert limits.as_wanted({}) is limits


def test_wishes_that_make_no_rule_any_more_are_passed_over() -> None:
    wishes = {
        "vibration_high": RuleChanges(critical_limit=5),
        "a_rule_of_old": RuleChanges(latch=True),
        "gas_flow_low": RuleChanges(latch=True),
    }

    own = thresholds().as_wanted(wishes)

    assert own == thresholds().changed("gas_flow_low", wishes["gas_flow_low"])
