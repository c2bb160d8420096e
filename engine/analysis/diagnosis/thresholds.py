"""Where a fact becomes a diagnosis; each number with its reason."""
from __future__ import annotations

SAMPLES = 32  # noise powers pool all positions of all samples: more change the shares by less than a percent
QUIET_DB = 35.0
"""Above this SQNR at its own output a layer needs no doctor: fifty such layers together still leave 18 dB, a loss of accuracy
that 2,000 samples hardly resolve; 8 bits without a fault give 35 to 45 dB."""
MIN_SEVERITY = 0.1  # a cause that explains less than a tenth of the noise is worth less than half a decibel
DOMINANT = 0.5  # more than all other parts together
TWO_BITS = 4.0  # a channel or input that uses a quarter of the shared range has lost two of its bits
MIN_STEPS = 16  # fewer steps than 4 bits have, from zero to an input's greatest value, leave it below about 20 dB
OUTLIER_RATIO = 3.0  # times the range that nine in ten channels keep: normal spread between channels stays below 2
OUTLIER_QUANTILE = 0.9
MAX_OUTLIERS = 0.1  # more channels than this are no outliers but a spread
UNSEEN_RATE = 1e-3  # one value in a thousand beyond the range; min-max on enough samples leaves about one in a million
UNSEEN_RATIO = 5.0  # and five times what calibration clipped on purpose
MIN_GAIN_DB = 2.0
"""Less noise at a layer's output is less KL at the model's only when it is clearly less. On both samples and EfficientNet-lite0 the
first remedies that won 2 dB or more lowered the KL with that layer alone quantized in 128 of 135 layers, seven were too close to
tell and none raised it; of trials that won less, a quarter did not help. With the whole recipe on, one layer's remedy mostly drowns
in the noise of the others (`benchmarks/diagnosis.py`)."""
