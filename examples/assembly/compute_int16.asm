; Activations of 16 bits: the limits of results have an instruction of their own, and what values of
; 8 bits mean (zero points, their limits, unsigned) is 0.
;
;   zeroskip run examples/assembly/compute_int16.asm --input x.npz --output y.npz
;
; x has 16 channels of 4 x 4 pixels, two bytes each; y = the largest of 2 x 2, within -1000..20000.

.target sparse256_int16
.input  x int16 16x4x4 0x000
.output y int16 16x2x2 0x200

loadshape dram_pixel=32 dram_row=128 dram_block=0 act_row=4 act_block=0
load act=0 dram=0x000 width=4 height=4 blocks=1 bytes=16 lane=0 post=compute

kernel rows=2 cols=2 row_stride=2 col_stride=2 row_dilation=1 col_dilation=1
input act=0 row=4 block=0 zero_point=0 unsigned=0
extent height=4 width=4 top=0 left=0
output act=16 row=2 block=0 height=2 width=2 zero_point=0 low=0 high=0 unsigned=0
limits low=-1000 high=20000
maxpool channels=16 wait=load post=store

storeshape dram_pixel=32 dram_row=64 dram_block=0 act_row=2 act_block=0
store act=16 dram=0x200 width=2 height=2 blocks=1 bytes=16 lane=0 wait=compute
