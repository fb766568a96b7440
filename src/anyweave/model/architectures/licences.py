"""Licences of the public parts, as far as needed to inspect and choose a spec. Not legal advice:
the part's own page is authoritative.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Licence:
    """`permissive`: Apache, MIT or BSD, which require only attribution. `non_commercial`: the terms
    exclude commercial use. Neither: commercial use is allowed under conditions.
    """

    name: str
    permissive: bool = False
    non_commercial: bool = False


APACHE_2 = Licence(name="Apache-2.0", permissive=True)
MIT = Licence(name="MIT", permissive=True)
BSD_3 = Licence(name="BSD-3-Clause", permissive=True)
OPENRAIL_M = Licence(name="CreativeML OpenRAIL-M")
LLAMA_2 = Licence(name="Llama 2 Community")
CC_BY_NC = Licence(name="CC BY-NC 4.0", non_commercial=True)
CC_BY_NC_SA = Licence(name="CC BY-NC-SA 4.0", non_commercial=True)
NSCL_V2 = Licence(name="NVIDIA NSCL v2", non_commercial=True)
STABILITY = Licence(name="Stability AI Community")
