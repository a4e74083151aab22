"""The page itself, of Gradio's parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from beholder.demo.examples import Example
from beholder.demo.judging import Judges
from beholder.demo.panels import cards_panel, pair_panel, picture_panel
from beholder.demo.uploads import uploaded

_WAITING = '<div class="bd"><p class="bd-wait">{}</p></div>'
_LONGEST_PROMPT = 20_000
_ONE_AT_A_TIME = "rewards"
_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif")
_MONO = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")


def page_of(judges: Judges, examples: Sequence[Example]) -> gr.Blocks:
    """The page that asks these rewards; its two tabs judge one picture, and compare two."""
    with gr.Blocks(title="Beholder", analytics_enabled=False) as page:
        gr.Markdown(f"# Beholder\nWhat a reward sees: {', '.join(judges.rewards)}")
        with gr.Tab("One picture"):
            _one_picture(judges, examples)
        with gr.Tab("Two pictures"):
            _two_pictures(judges, examples)
        with gr.Accordion("What the scores mean", open=False):
            gr.HTML(cards_panel(judges.rewards))
    return page


def theme() -> Any:
    """Gradio's plain theme with the fonts of the system, so that none is fetched."""
    return gr.themes.Base(primary_hue="blue", font=_FONTS, font_mono=_MONO)


def _one_picture(judges: Judges, examples: Sequence[Example]) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            picture, prompt = _drop("Picture"), _prompt()
            ask = gr.Button("Score", variant="primary")
        with gr.Column(scale=3, min_width=320):
            said = gr.HTML(_WAITING.format("Drop a picture and say what it should show."))

    def judge(image: str | None, text: str) -> str:
        return picture_panel(judges.picture(image, text or ""))

    _when([ask.click, prompt.submit, picture.upload], judge, [picture, prompt], said, "score")
    listed = [[str(each.picture), each.prompt] for each in examples]
    _examples(listed, [picture, prompt], judge, said)


def _two_pictures(judges: Judges, examples: Sequence[Example]) -> None:
    with gr.Row():
        left, right = _drop("Left"), _drop("Right")
    prompt = _prompt()
    ask = gr.Button("Compare", variant="primary")
    said = gr.HTML(_WAITING.format("Drop two pictures of one prompt."))

    def compare(first: str | None, second: str | None, text: str) -> str:
        return pair_panel(judges.pair(first, second, text or ""))

    _when([ask.click, prompt.submit], compare, [left, right, prompt], said, "compare")
    first, *others = examples
    same = [other for other in others if other.prompt == first.prompt]
    listed = [[str(first.picture), str(other.picture), first.prompt] for other in same]
    _examples(listed, [left, right, prompt], compare, said)


def _drop(label: str) -> Any:
    """Where a picture is dropped; the file is handed on as it came.

    Gradio would decode it first, and show an error of its own for one that cannot be read. A
    subclass would do as well, but beside its module Gradio writes a stub file.
    """
    drop = gr.Image(label=label, type="filepath", sources=["upload", "clipboard"], height=320)
    drop.preprocess = _file_of
    return drop


def _file_of(payload: Any) -> str | None:
    return None if payload is None or not payload.path else uploaded(payload.path)


def _prompt() -> Any:
    return gr.Textbox(
        label="Prompt",
        placeholder="what the picture should show",
        lines=2,
        max_length=_LONGEST_PROMPT,
        submit_btn=False,
    )


def _when(triggers: Sequence[Any], ask: Any, inputs: Sequence[Any], said: Any, name: str) -> None:
    gr.on(
        list(triggers),
        ask,
        inputs=list(inputs),
        outputs=said,
        api_name=name,
        concurrency_limit=1,
        concurrency_id=_ONE_AT_A_TIME,
    )


def _examples(listed: Sequence[Sequence[str]], inputs: Sequence[Any], ask: Any, said: Any) -> None:
    """A table to choose from; what is chosen is asked about at once."""
    if listed:
        gr.Examples(
            [list(row) for row in listed],
            list(inputs),
            outputs=said,
            fn=ask,
            run_on_click=True,
            cache_examples=False,
            api_visibility="private",
        )
