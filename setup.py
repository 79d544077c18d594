"""Ships the top-level recipes/ as rlhf_compare/recipes; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["rlhf_compare*"]), "rlhf_compare.recipes"],
    package_dir={"rlhf_compare.recipes": "recipes"},
)
