"""What a layer reads over samples: the float network run binding by binding."""
