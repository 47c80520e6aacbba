"""The table of ONNX operators that can be lowered."""

from collections.abc import Mapping

from emufort.importing.lowering import Handler
from emufort.importing.operators_activation import ACTIVATION
from emufort.importing.operators_attention import ATTENTION
from emufort.importing.operators_convolution import CONVOLUTION
from emufort.importing.operators_inverse import INVERSE
from emufort.importing.operators_linear import LINEAR
from emufort.importing.operators_logic import LOGIC
from emufort.importing.operators_normalisation import NORMALISATION
from emufort.importing.operators_pooling import POOLING
from emufort.importing.operators_products import PRODUCTS
from emufort.importing.operators_recurrent import RECURRENT
from emufort.importing.operators_reductions import REDUCTIONS
from emufort.importing.operators_structure import STRUCTURE

#: ONNX operator -> function that lowers it.
HANDLERS: Mapping[str, Handler] = {
    **STRUCTURE,
    **LINEAR,
    **PRODUCTS,
    **ACTIVATION,
    **INVERSE,
    **LOGIC,
    **CONVOLUTION,
    **POOLING,
    **REDUCTIONS,
    **NORMALISATION,
    **RECURRENT,
    **ATTENTION,
}
