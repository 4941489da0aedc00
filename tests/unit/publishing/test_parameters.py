"""Parameters are of their declared types, or are all named in one error."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from airflow.sdk import DAG, BaseOperator

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.operators.creator_info import TikTokCreatorInfoOperator
from tiktok_provider.operators.doctor import TikTokDoctorOperator
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.parameters import TypedParameters
from tiktok_provider.sensors.post_status import TikTokPostStatusSensor


class Level(StrEnum):
    HIGH = "high"
    LOW = "low"


class Typed(TypedParameters, BaseOperator):
    """An operator with a parameter of each sort."""

    template_fields = ("title", "switch", "number", "level")
    parameter_types: ClassVar[Mapping[str, Any]] = {
        "title": str | None,
        "wait": bool,
        "cover": int | None,
        "timeout": timedelta | int | float,
        "on_cap": Literal["wait", "fail"],
        "switch": bool,
        "number": int | None,
        "level": Level,
    }

    def __init__(
        self,
        *,
        title: Any = None,
        wait: Any = True,
        cover: Any = None,
        timeout: Any = 1.5,
        on_cap: Any = "wait",
        switch: Any = False,
        number: Any = None,
        level: Any = "high",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.wait = wait
        self.cover = cover
        self.timeout = timeout
        self.on_cap = on_cap
        self.switch = switch
        self.number = number
        self.level = level
        self.check_literals()


def mapped(**values: Any) -> Typed:
    """Return the operator as Airflow makes it of a mapped task, on a worker."""
    return Typed(task_id="t", _airflow_from_mapped=True, **values)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"wait": "False"}, "wait is 'False', it must be of type bool"),
    ({"wait": 1}, "wait is 1, it must be of type bool"),
    ({"cover": True}, "cover is True, it must be of type int or None"),
    ({"cover": 1.5}, "cover is 1.5, it must be of type int or None"),
    ({"timeout": "90"}, "timeout is '90', it must be of type timedelta or int or float"),
    ({"timeout": "1:00:00"}, "timeout is '1:00:00', it must be of type timedelta or int or float"),
    ({"timeout": -1}, "timeout is -1, allowed: 0 seconds to 366 days"),
    ({"timeout": timedelta(seconds=-1)}, "timeout is -1 day, 23:59:59, allowed: 0 seconds to 366 days"),
    ({"timeout": float("nan")}, "timeout is nan, allowed: 0 seconds to 366 days"),
    ({"timeout": float("inf")}, "timeout is inf, allowed: 0 seconds to 366 days"),
    ({"timeout": 10**400}, f"timeout is 1{'0' * 39}..., allowed: 0 seconds to 366 days"),
    ({"timeout": timedelta.max}, f"timeout is {timedelta.max}, allowed: 0 seconds to 366 days"),
    ({"switch": "False"}, "switch is 'False', it must be of type bool"),
    ({"number": "5"}, "number is '5', it must be of type int or None"),
    ({"level": "medium"}, "level is 'medium', allowed: high, low"),
    ({"level": 7}, "level is 7, allowed: high, low"),
    ({"on_cap": "never"}, "on_cap is 'never', allowed: wait, fail"),
    ({"on_cap": ["wait"]}, "on_cap is of type list, allowed: wait, fail"),
    ({"title": 7}, "title is 7, it must be of type str or None"),
]


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_a_wrong_literal_is_refused_while_the_dag_is_parsed(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        Typed(task_id="t", **values)
    assert refusal.value.violations == (said,) or list(refusal.value.violations) == [said]


def test_mapped_values_are_refused_at_execute_all_in_one_error() -> None:
    values: dict[str, Any] = {}
    for wrong, _ in WRONG:
        values.update(wrong)
    operator = mapped(**values)
    with pytest.raises(InvalidInputError) as refusal:
        operator.check_parameters()
    fields = [violation.partition(" is ")[0] for violation in refusal.value.violations]
    assert fields == ["title", "wait", "cover", "timeout", "on_cap", "level"]
    assert (operator.switch, operator.number) == (False, 5), "these are templated"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"title": "Hello", "cover": 5, "timeout": 3},
        {"timeout": timedelta(hours=1), "on_cap": "fail", "wait": False},
    ],
)
def test_values_of_their_types_pass(values: dict[str, Any]) -> None:
    Typed(task_id="t", **values).check_parameters()


def test_what_a_template_or_another_task_will_give_is_left_until_it_is_there() -> None:
    with DAG("typed"):
        other = BaseOperator(task_id="other")
        templated = Typed(task_id="t", title=other.output)
    assert templated.title is not None
    with pytest.raises(InvalidInputError, match="title is of type"):
        templated.check_parameters()


@pytest.mark.parametrize(
    ("operator", "parameters"),
    [
        (TikTokPublishVideoOperator, {"video": "a.mp4", "privacy_level": "SELF_ONLY"}),
        (TikTokCreatorInfoOperator, {}),
        (TikTokDoctorOperator, {}),
        (TikTokPostStatusSensor, {"publish_id": "p.1"}),
    ],
)
def test_every_operator_and_the_sensor_declare_all_their_own_parameters(
    operator: Any, parameters: dict[str, Any]
) -> None:
    made = operator(task_id="t", **parameters)
    assert set(operator.parameter_types) <= set(vars(made))
    with pytest.raises(InvalidInputError, match="tiktok_conn_id is 7, it must be of type str"):
        operator(task_id="t", tiktok_conn_id=7, **parameters)


# What Jinja, pandas, NumPy and JSON leave for a missing value, and what people make of it on the way.
LEFT_FOR_NOTHING = [
    "None",
    "none",
    "NONE",
    "nan",
    "NaN",
    "NaT",
    "null",
    "Null",
    "<NA>",
    "<na>",
    " None ",
    "\tnan\n",
]
TEXTS: list[tuple[Any, str]] = [
    (TikTokPublishVideoOperator, "video"),
    (TikTokPublishVideoOperator, "video_url"),
    (TikTokPublishVideoOperator, "privacy_level"),
    (TikTokPublishVideoOperator, "title"),
    (TikTokPublishVideoOperator, "post_key"),
    (TikTokPublishVideoOperator, "tiktok_conn_id"),
    (TikTokCreatorInfoOperator, "tiktok_conn_id"),
    (TikTokDoctorOperator, "tiktok_conn_id"),
    (TikTokPostStatusSensor, "publish_id"),
    (TikTokPostStatusSensor, "tiktok_conn_id"),
]
NEEDED: dict[Any, dict[str, Any]] = {
    TikTokPublishVideoOperator: {"privacy_level": "SELF_ONLY", "video": "a.mp4"},
    TikTokPostStatusSensor: {"publish_id": "p.1"},
}


def rendered(operator: Any, field: str, text: Any) -> Any:
    """Return a task whose template has left this text."""
    parameters = {**NEEDED.get(operator, {}), field: text}
    if field == "video_url":
        del parameters["video"]
    return operator(task_id="t", _airflow_from_mapped=True, **parameters)


@pytest.mark.parametrize("text", LEFT_FOR_NOTHING)
@pytest.mark.parametrize(("operator", "field"), TEXTS)
def test_a_text_that_a_template_left_for_nothing_is_refused(operator: Any, field: str, text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        rendered(operator, field, text).check_parameters()
    assert refusal.value.violations == (f"{field} is {text!r}: a template or a data frame left no value",)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
@pytest.mark.parametrize(("operator", "field"), TEXTS)
def test_only_a_title_may_be_empty(operator: Any, field: str, text: str) -> None:
    task = rendered(operator, field, text)
    if field == "title":
        task.check_parameters()
    else:
        with pytest.raises(InvalidInputError, match=f"{field} is .* left no value"):
            task.check_parameters()


@pytest.mark.parametrize("text", ["None of us", "nano", "Nate", "nullify", "NA", "-", "0"])
def test_a_text_that_only_resembles_nothing_is_a_text(text: str) -> None:
    rendered(TikTokPublishVideoOperator, "title", text).check_parameters()


@pytest.mark.parametrize("operator", dict.fromkeys(operator for operator, _ in TEXTS))
def test_every_text_of_every_operator_is_tried_here(operator: Any) -> None:
    texts = {name for name, kind in operator.parameter_types.items() if kind is str or kind == str | None}
    assert texts - {field for tried, field in TEXTS if tried is operator} == set()


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("switch", "True", True),
        ("switch", "true", True),
        ("switch", " FALSE\n", False),
        ("number", "0", 0),
        ("number", " 1500 ", 1500),
        ("number", "-5", -5),
        ("level", "low", "low"),
    ],
)
def test_what_a_template_left_is_read_as_what_it_says(field: str, text: str, value: object) -> None:
    operator = mapped(**{field: text})
    operator.check_parameters()
    assert getattr(operator, field) == value
    assert type(getattr(operator, field)) is type(value)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("switch", text) for text in ("1", "0", "yes", "no", "on", "t", "truee", "None", "", "[True]")),
        *(("number", text) for text in ("1.0", "1e3", "0x10", "1_000", "+5", "\u0665", "9" * 19, "True", "")),
    ],
)
def test_any_other_text_is_refused_and_never_guessed(field: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} is "):
        mapped(**{field: text}).check_parameters()


@pytest.mark.parametrize("template", ["{{ params.x }}", "{% if x %}true{% endif %}", "{# nothing #}true"])
def test_a_template_is_left_until_it_is_rendered(template: str) -> None:
    Typed(task_id="t", switch=template, number=template, level=template)


@pytest.mark.parametrize("field", ["soft_fail", "never_fail", "silent_fail", "exponential_backoff"])
def test_the_sensors_own_switches_of_airflow_are_checked_too(field: str) -> None:
    wrong: dict[str, Any] = {field: "False"}
    with pytest.raises(InvalidInputError, match=f"{field} is 'False', it must be of type bool"):
        TikTokPostStatusSensor(task_id="t", publish_id="p.1", **wrong)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("600", 600)])
def test_a_template_may_say_yes_no_or_how_long(text: str, value: object, tmp_path: Path) -> None:
    operator = TikTokPublishVideoOperator(
        task_id="t",
        video=tmp_path,
        privacy_level="SELF_ONLY",
        wait_for_post_id=text,
        _airflow_from_mapped=True,
    )
    operator.check_parameters()
    assert operator.wait_for_post_id is value or operator.wait_for_post_id == value
