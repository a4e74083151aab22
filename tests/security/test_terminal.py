"""Names and prompts of strangers on a terminal: verbs show them, and no terminal obeys them."""

import json
from pathlib import Path

from PIL import Image

from tests.shell import Shell

ODD = "\x1b]0;pwned\x07\x9b2J\u202egnp"
OBEYED = set("\x00\x07\x08\x1b\x7f\x9b\r\u202e")


def test_no_verb_lets_a_name_or_prompt_command_the_terminal(tmp_path: Path, shell: Shell) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (32, 32)).save(pictures / f"{ODD}.png")
    (pictures / f"bad{ODD}.png").write_bytes(b"\x1b[31m<html>")
    listed = tmp_path / "m.jsonl"
    rows = [{"image": str(p), "prompt": ODD, "model": ODD} for p in sorted(pictures.iterdir())]
    rows.append({"image": f"gone{ODD}.png", "prompt": ODD, "model": ODD})
    listed.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    out = str(tmp_path / "scores")
    verbs = [
        ("score", str(listed), "--reward", "tiny", "-o", out),
        ("score", str(listed), "--reward", "tiny", "-o", out, "--json", "--retry-failed"),
        ("filter", out, "--where", "tiny.total > 9", "-o", str(tmp_path / "kept")),
        ("rank", out, "--by", "model", "--json"),
        ("report", out, "-o", str(tmp_path / f"{ODD}.html")),
        ("score", f"nowhere/{ODD}", "--reward", "tiny", "-o", out),
        ("score", str(listed), "--reward", f"no{ODD}", "-o", out),
        ("filter", out, "--where", f"'{ODD}' == {ODD}", "-o", str(tmp_path / "k")),
    ]
    for verb in verbs:
        shell(*verb)
        assert not OBEYED & set(shell.out + shell.err), verb
