"""Changes to sweeps, searches and their store."""

from __future__ import annotations

from tests.mutants_code.change import Change

PICTURES = "runtime/test_sweep_pictures.py"

EXPERIMENTS: tuple[Change, ...] = (
    Change(
        "runtime/experiments/store.py",
        "a failure of another process takes the place of figures",
        '"WHERE points.failure IS NOT NULL",',
        '"WHERE 1",',
        "runtime/test_experiment_store.py::test_a_store_gives_what_it_was_given",
    ),
    Change(
        "runtime/experiments/store.py",
        "who finds the store locked gives up",
        "_WAIT = 60.0",
        "_WAIT = 0.0",
        "runtime/test_experiment_store.py::test_several_processes_write_at_once",
    ),
    Change(
        "runtime/experiments/store.py",
        "a store that another process makes is read half made",
        '(tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()\n        run("COMMIT")\n',
        'run("COMMIT")\n        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()\n',
        "runtime/test_experiment_store.py::test_a_store_that_another_makes_meanwhile_is_one",
    ),
    Change(
        "runtime/experiments/store.py",
        "a store of another version is taken",
        "if tables and version != VERSION:",
        "if tables and version < VERSION:",
        "runtime/test_experiment_store.py::test_no_store_is_left_as_it_is",
    ),
    Change(
        "runtime/experiments/point.py",
        "the objective is not in the key",
        "table, repr(origin), self.objective])",
        "table, repr(origin)])",
        "runtime/test_experiment_values.py::test_keys_differ_where_something_differs",
    ),
    Change(
        "runtime/experiments/point.py",
        "the version of the code is not in the key",
        "                code_version(),\n",
        "",
        "runtime/test_experiment_values.py::test_keys_differ_where_something_differs",
    ),
    Change(
        "runtime/experiments/sources.py",
        "weights beside a model are not its content",
        "for path in (self.model, *_beside(self.model))]",
        "for path in (self.model,)]",
        "runtime/test_experiment_values.py::test_the_weights_beside_a_model_are_its_content",
    ),
    Change(
        "runtime/experiments/sources.py",
        "a file that was changed keeps its digest",
        "return _digest(path, now.st_size, now.st_mtime_ns)",
        "return _digest(path, 0, 0)",
        "runtime/test_experiment_values.py::test_the_weights_beside_a_model_are_its_content",
    ),
    Change(
        "runtime/experiments/sources.py",
        "a folder is its pictures, whatever their classes",
        "return [[name, [digest_of(each) for each in own]]",
        "return [[[digest_of(each) for each in own]]",
        f"{PICTURES}::test_a_key_is_of_pictures_classes_and_description",
    ),
    Change(
        "runtime/experiments/sources.py",
        "how pictures become inputs changes no key",
        '"preprocessing": repr(self.preprocessing),',
        '"preprocessing": None,',
        f"{PICTURES}::test_a_key_is_of_pictures_classes_and_description",
    ),
    Change(
        "runtime/experiments/front.py",
        "a sweep's pictures become inputs as the network's shape has it",
        "read_data(dense, source.data, source.preprocessing)",
        "read_data(dense, source.data)",
        f"{PICTURES}::test_quality_is_that_of_the_arrays_the_description_makes",
    ),
    Change(
        "runtime/experiments/sources.py",
        "networks of one name are one network",
        "        if len(alike) == 1:\n",
        "        if alike:\n",
        "runtime/test_sweep_integers.py::test_networks_of_files_that_are_called_alike_stay_apart",
    ),
    Change(
        "runtime/experiments/front.py",
        "warnings of an import are the first front's alone",
        "    for note in loaded.notes:  # of each front, whichever of them loaded it\n",
        "    for note in ():\n",
        "runtime/test_sweep_integers.py::"
        "test_what_is_a_step_off_is_noted_whichever_point_comes_first",
    ),
    Change(
        "runtime/experiments/run.py",
        "failures are tried again unasked",
        "return outcome is None or (retry and outcome.failure is not None)",
        "return outcome is None or outcome.failure is not None",
        "runtime/test_sweep.py::test_failures_are_kept_and_tried_again_only_if_asked",
    ),
    Change(
        "runtime/experiments/run.py",
        "fronts are never let go of",
        "if front.key in exhausted and not in_flight[front.key]:",
        "if False:",
        "runtime/test_sweep.py::test_a_front_is_made_once_and_points_in_order",
    ),
    Change(
        "runtime/experiments/settings.py",
        "another kind of array keeps the size of the first target that has it",
        "min(found, key=lambda spec: spec.array.macs != macs)",
        "max(found, key=lambda spec: spec.array.macs != macs)",
        "runtime/test_experiment_values.py::"
        "test_another_kind_brings_the_array_of_the_target_of_its_size",
    ),
    Change(
        "runtime/experiments/metrics.py",
        "a point that leaves more to the CPU beats one that leaves less",
        "metrics = [*metrics, CPU] if CPU not in metrics else list(metrics)",
        "metrics = list(metrics)",
        "runtime/test_experiment_values.py::test_what_is_unbeaten_is_beaten_by_none",
    ),
    Change(
        "runtime/experiments/metrics.py",
        "what is to be large is made small",
        'return value if self.best == "min" else -value',
        "return value",
        "runtime/test_experiment_values.py::test_what_is_unbeaten_is_beaten_by_none",
    ),
    Change(
        "runtime/experiments/front.py",
        "workers of another version measure",
        "if code != code_version():",
        "if False:",
        "runtime/test_engine.py::test_workers_say_that_they_are_of_another_version",
    ),
    Change(
        "runtime/experiments/front.py",
        "a sweep's networks are not brought to the sparsity",
        "if point.sparsity is not None:",
        "if point.sparsity is None and recipe:",
        "runtime/test_sweep.py::test_quality_and_energy_are_those_of_compare",
    ),
    Change(
        "runtime/experiments/search.py",
        "the optimizer does not hear of budgets",
        "trial.set_constraint(str(budget), min(budget.excess(outcome.figures), FAR))",
        "trial.set_constraint(str(budget), -1.0)",
        "runtime/test_search.py::test_the_best_keeps_the_budgets",
    ),
    Change(
        "runtime/experiments/search.py",
        "what the store knows is measured again",
        "    study.learn(store, retry)\n",
        "",
        "runtime/test_search.py::test_what_a_store_knows_is_not_measured_again",
    ),
    Change(
        "runtime/experiments/search.py",
        "points are asked for again",
        "            if point.key not in self.seen:\n                self.seen",
        "            if True:\n                self.seen",
        "runtime/test_search.py::test_points_are_asked_for_once_each",
    ),
    Change(
        "runtime/render/pages/fronts.py",
        "fronts are drawn straight from point to point",
        "corners.append((at, best))",
        "corners.append((at, up))",
        "runtime/test_experiment_page.py::test_the_steps_are_the_front",
    ),
    Change(
        "runtime/render/pages/fronts.py",
        "steps end at the last point",
        "    corners += [(width - RIGHT, up) for _, up in corners[-1:]]",
        "    corners += []",
        "runtime/test_experiment_page.py::test_the_steps_are_the_front",
    ),
    Change(
        "runtime/environment.py",
        "a library of another version is fine",
        'return self.found is not None and self.wanted in ("", self.found)',
        "return self.found is not None",
        "runtime/test_doctor.py::test_extras_are_there_or_lack_something",
    ),
)
