module {
  func.func @main(%arg0: tensor<1x4x8x8xi8>) -> tensor<1x128xi8> {
    %0 = tosa.const_shape  {values = dense<[1, 128]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %1 = tosa.transpose %arg0 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x4x8x8xi8>) -> tensor<1x8x8x4xi8>
    %2 = tosa.max_pool2d %1 {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>) -> tensor<1x4x4x4xi8>
    %3 = tosa.transpose %2 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %4 = tosa.clamp %3 {max_val = 100 : i8, min_val = -20 : i8} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %5 = tosa.max_pool2d %1 {kernel = array<i64: 3, 3>, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>} : (tensor<1x8x8x4xi8>) -> tensor<1x4x4x4xi8>
    %6 = tosa.transpose %5 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x4x4x4xi8>) -> tensor<1x4x4x4xi8>
    %7 = tosa.concat %4, %6 {axis = 1 : i32} : (tensor<1x4x4x4xi8>, tensor<1x4x4x4xi8>) -> tensor<1x8x4x4xi8>
    %8 = tosa.transpose %7 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x4x4xi8>) -> tensor<1x4x4x8xi8>
    %9 = tosa.reshape %8, %0 : (tensor<1x4x4x8xi8>, !tosa.shape<2>) -> tensor<1x128xi8>
    return %9 : tensor<1x128xi8>
  }
}
