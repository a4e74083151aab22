"""Labelling configurations: ours, and ours as others changed them."""

from beholder.annotation.forms import pairwise, richhf
from beholder.serving._label_studio.layout import Layout, read_layout


def pair() -> Layout:
    return read_layout(pairwise.FORM.xml())


def rich() -> Layout:
    return read_layout(richhf.FORM.xml())


SMALL = """<View>
  <Image name="right" value="$second"/><Image name="left" value="$first"/>
  <Text name="prompt" value="$caption"/>
  <Choices name="overall" toName="prompt"><View>
    <Choice value="left"/><Choice value="Right" alias="right"/>
  </View></Choices>
  <TextArea name="aesthetics" toName="prompt"/>
</View>"""
"""One dimension without a tie, other data, and a comment that has the name of a control."""

ONE_RATING = """<View><Image name="image" value="$url"/>
  <Rating name="aesthetics" toName="image" maxRating="10"/>
  <Rating name="overall" toName="elsewhere"/></View>"""
