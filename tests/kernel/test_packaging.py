"""The built wheel is whole: it installs without Node and brings code, recipes, the widget and the extension."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BUILT = REPOSITORY / "kernel" / "tunelab" / "labextension" / "package.json"


@pytest.mark.skipif(not BUILT.exists(), reason="the extension is not built: make setup")
def test_the_wheel_needs_no_node_and_has_every_part(tmp_path: Path) -> None:
    without_node = tmp_path / "bin"
    without_node.mkdir()
    for tool in ("git", "cp"):
        if found := shutil.which(tool):
            (without_node / tool).symlink_to(found)
    environment = {**os.environ, "PATH": str(without_node)}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(REPOSITORY)]
    built = subprocess.run(build, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for part in (
        "tunelab/static/widget.js",
        "tunelab/static/widget.css",
        "tunelab/spec/hyperparameters.json",
        "tunelab/recipes/dpo.yaml",
        "tunelab/labextension/package.json",
        ".data/data/share/jupyter/labextensions/tunelab/package.json",
        ".data/data/share/jupyter/labextensions/tunelab/install.json",
        "licenses/LICENSE",
    ):
        assert any(name.endswith(part) for name in names), part
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path / "site"),
        wheel,
    ]
    subprocess.run(install, env=environment, check=True, capture_output=True)
    code = "import tunelab, sys; from tunelab.notebook.display import JobWidget; "
    code += (
        "print(tunelab.__file__, len(str(JobWidget._esm)) > 0, len(tunelab.recipe('dpo', 'smollm2-135m').settings) > 9)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**environment, "PYTHONPATH": str(tmp_path / "site"), "TUNELAB_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "site" / "tunelab" / "__init__.py"), "True", "True"], done.stderr
