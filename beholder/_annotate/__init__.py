"""The verbs of `beholder annotate`: thin, each calls one function of the annotation room."""

from beholder._annotate import asking as asking
from beholder._annotate import judging as judging
from beholder._annotate.options import app as app
