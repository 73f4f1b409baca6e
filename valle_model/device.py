"""Which device and precision a wish means on this machine."""

import torch

from valle_data.errors import EnvironmentProblem


def pick_device(wanted: str) -> torch.device:
    """`auto` is a CUDA device where there is one, otherwise the CPU."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise EnvironmentProblem("engine.device is cuda, but torch finds no CUDA device here. Use engine.device=cpu, or auto.")
    return torch.device(wanted)


def pick_precision(wanted: str, device: torch.device) -> torch.dtype:
    """`auto` is bf16 where the hardware multiplies it (CUDA devices that support it, CPUs with AVX512-BF16 or AMX), otherwise fp32."""
    if wanted == "auto":
        capable = (
            torch.cuda.is_bf16_supported() if device.type == "cuda" else any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
        )
        return torch.bfloat16 if capable else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[wanted]
