"""What cycles can be lost to on the lane targets: name -> meaning."""

from __future__ import annotations

from zeroskip.accel_model.spec import load_spec
from zeroskip.runtime.analysis.loss_breakdown import causes_of

SLOTS = causes_of(load_spec("sparse256"))
CAUSES = {cause.name: cause.sentence for cause in SLOTS}
