"""TensorFlow as a run needs it: imported once its devices are leased, quiet, and within its share of memory."""

import os
from contextlib import AbstractContextManager

from training.devices.gpu_manager import MEMORY_VARIABLE

# What a CUDA context and the kernels take beside TensorFlow's own pool; an estimate, and a floor for what is left.
CONTEXT_MIB = 500
SMALLEST_POOL_MIB = 256


def start_tensorflow(quietly: AbstractContextManager[None]) -> None:
    """Imports TensorFlow and keeps it to the memory that the lease grants on each device.

    Args:
        quietly: where its start-up notes go.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with quietly:
        import tensorflow as tf

        shares = os.environ.get(MEMORY_VARIABLE, "").split(",")
        # A hard limit: growth alone would let one run take the memory that another one leased.
        for device, share_mib in zip(
            tf.config.list_physical_devices("GPU") if any(shares) else [], shares, strict=False
        ):
            if share_mib:
                limit_mib = max(SMALLEST_POOL_MIB, int(share_mib) - CONTEXT_MIB)
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=limit_mib)
                tf.config.set_logical_device_configuration(device, [limit])
