"""Memory that was used up, of a device or of the host: told in one line.

It knows no JAX, which the command line imports late: JAX's error is known by its words.
"""

# XLA's own words and those of the driver, which is what a backend says that finds no
# memory to begin with.
_SIGNS = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY")


def told(error):
    """What to say of an exception that means used-up memory; None of any other."""
    if isinstance(error, MemoryError):
        found, whose = str(error), "the host"
    elif isinstance(error, RuntimeError) and any(s in str(error) for s in _SIGNS):
        lines = str(error).splitlines()
        found = next(line for line in lines if any(sign in line for sign in _SIGNS))
        whose = "the device"
    else:
        return None
    said = f" ({found.strip().rstrip('.')})" if found else ""
    return (
        f"the memory of {whose} is used up{said}; lower optim.batch_size, "
        "posterior.batch_size or posterior.chunk of the run, or end what else holds "
        "memory; XLA_PYTHON_CLIENT_PREALLOCATE=false takes of a GPU only what is used"
    )
