from beholder.rewards._names import is_model, unwrapped


def own_name(key: str) -> str | None:
    if key.endswith("position_ids"):
        return None
    return f"towers.model.{key}" if key.startswith(("text.", "scale")) else key


def test_wrappers_are_taken_off_and_nothing_else() -> None:
    assert unwrapped("module.model.text_model.x") == "text_model.x"
    assert unwrapped("mps.model.cross_model.x") == "cross_model.x"
    assert unwrapped("text_model.model.x") == "text_model.model.x"


def test_a_file_is_a_model_s_with_its_parts_and_nothing_more() -> None:
    assert is_model(["text.a", "text.position_ids", "scale"], own_name, {"scale"})
    assert not is_model(["text.a"], own_name, {"scale"})
    assert not is_model(["text.a", "scale", "head.weight"], own_name, {"scale"})
