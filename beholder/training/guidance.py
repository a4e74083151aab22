"""A reward at work without training: choosing, guiding, searching and repairing pictures.

- `best_of` runs several pictures of each prompt and keeps the best;
- `early_rejection` leaves most of them at a step where `preview_agreement` has measured that the
  reward knows already which will be good;
- `guided` pulls every step towards a higher score, and `optimise_noise` the noise of one-step
  models: both need a differentiable reward;
- `base_early` lets the base model begin what the tuned one finishes;
- `repair` repaints what a map of faults marks.

All are deterministic for their seeds, and a picture does not depend on its neighbours.
"""

from beholder.training._guidance.agreement import PreviewAgreement as PreviewAgreement
from beholder.training._guidance.agreement import StepAgreement as StepAgreement
from beholder.training._guidance.candidates import Candidates as Candidates
from beholder.training._guidance.candidates import Chosen as Chosen
from beholder.training._guidance.choosing import best_of as best_of
from beholder.training._guidance.choosing import early_rejection as early_rejection
from beholder.training._guidance.guiding import Guidance as Guidance
from beholder.training._guidance.guiding import Guided as Guided
from beholder.training._guidance.guiding import guided as guided
from beholder.training._guidance.noise_search import NoiseSearch as NoiseSearch
from beholder.training._guidance.noise_search import Searched as Searched
from beholder.training._guidance.noise_search import optimise_noise as optimise_noise
from beholder.training._guidance.previews import preview_agreement as preview_agreement
from beholder.training._guidance.repairing import RepairConfig as RepairConfig
from beholder.training._guidance.repairing import Repaired as Repaired
from beholder.training._guidance.repairing import repair as repair
from beholder.training._guidance.switching import Switched as Switched
from beholder.training._guidance.switching import base_early as base_early
from beholder.training._tuning.signal import Signal as Signal
