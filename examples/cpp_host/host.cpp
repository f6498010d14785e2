// Runs a network that tvm.compile exported, without Python: README.md beside this file.
#include <tvm/ffi/extra/module.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <vector>

#include "recorded_runs.h"

struct Allocator {
  void AllocData(DLTensor* x) { x->data = std::aligned_alloc(64, (GetDataSize(*x) + 63) / 64 * 64); }
  void FreeData(DLTensor* x) { std::free(x->data); }
};

int main(int argc, char** argv) try {
  TVM_FFI_CHECK(argc > 5, RuntimeError) << "use: host NET.so NET.table X.bin Y.bin SIZE...";
  Function::SetGlobal("zeroskip.run", Function::FromPacked(RecordedRuns(argv[2])));

  Module library = Module::LoadFromFile(std::filesystem::absolute(argv[1]).string());
  Module vm = library->GetFunction("vm_load_executable").value()().cast<Module>();
  vm->GetFunction("vm_initialization").value()(int(kDLCPU), 0, 2);  // 2: a pool of memory

  std::vector<int64_t> sizes;
  for (int i = 5; i < argc; ++i) sizes.push_back(std::atoll(argv[i]));
  Tensor x = Tensor::FromNDAlloc(Allocator(), Shape(sizes), {kDLFloat, 32, 1}, {kDLCPU, 0});
  std::string image = ReadFile(argv[3]);
  TVM_FFI_CHECK(image.size() == GetDataSize(x), RuntimeError) << argv[3] << ": not of these sizes";
  std::memcpy(x.data_ptr(), image.data(), image.size());

  Tensor y = vm->GetFunction("main").value()(x).cast<Tensor>();
  std::ofstream(argv[4], std::ios::binary).write(static_cast<char*>(y.data_ptr()), GetDataSize(y));
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
