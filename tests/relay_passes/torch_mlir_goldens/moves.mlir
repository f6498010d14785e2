module {
  func.func @main(%arg0: tensor<1x4x8x8xi8>) -> tensor<1x176xi8> {
    %0 = tosa.const_shape  {values = dense<[1, 3, 8, 8]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %1 = tosa.const_shape  {values = dense<[0, 1, 0, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %2 = tosa.const_shape  {values = dense<[1, 3, 4, 8]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %3 = tosa.const_shape  {values = dense<[0, 0, 2, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %4 = tosa.const_shape  {values = dense<[1, 3, 4, 4]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %5 = tosa.const_shape  {values = dense<0> : tensor<4xindex>} : () -> !tosa.shape<4>
    %6 = tosa.const_shape  {values = dense<[1, 176]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %7 = tosa.transpose %arg0 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x4x8x8xi8>) -> tensor<1x8x8x4xi8>
    %8 = tosa.max_pool2d %7 {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>) -> tensor<1x4x4x4xi8>
    %9 = tosa.transpose %8 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %10 = tosa.clamp %9 {max_val = 100 : i8, min_val = -20 : i8} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %11 = tosa.max_pool2d %7 {kernel = array<i64: 3, 3>, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>) -> tensor<1x4x4x4xi8>
    %12 = tosa.transpose %11 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %13 = tosa.slice %arg0, %1, %0 : (tensor<1x4x8x8xi8>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x3x8x8xi8>
    %14 = tosa.slice %13, %3, %2 : (tensor<1x3x8x8xi8>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x3x4x8xi8>
    %15 = tosa.slice %14, %5, %4 : (tensor<1x3x4x8xi8>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x3x4x4xi8>
    %16 = tosa.concat %10, %12, %15 {axis = 1 : i32} : (tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>, tensor<1x3x4x4xi8>) -> tensor<1x11x4x4xi8>
    %17 = tosa.transpose %16 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x11x4x4xi8>) -> tensor<1x4x4x11xi8>
    %18 = tosa.reshape %17, %6 : (tensor<1x4x4x11xi8>, !tosa.shape<2>) -> tensor<1x176xi8>
    return %18 : tensor<1x176xi8>
  }
}
