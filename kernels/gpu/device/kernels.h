/* One source for CUDA and HIP. The host compiles it once for every specialisation: types, sizes and style are macros
 * (specialise.c), pointers, strides and counts are parameters. */
#if OPERATION_ROPE
#include "rope.h"
#else
#include "rows.h"
#endif
