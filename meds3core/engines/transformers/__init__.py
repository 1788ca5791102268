"""The in-process engine on stock transformers models. See `engine`."""

import os

# Without it, spinning threads of torch collapse as soon as another process runs on the same few cores (measured: three
# to five times slower). It has to be set before torch is first imported, so it stands here and is only a default.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
