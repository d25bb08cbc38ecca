"""Puts the folders of jobs and search spaces into the wheel; pyproject.toml says all the rest."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["pdray*"]),
        "pdray.jobs",
        "pdray.search_spaces",
        "pdray.search_spaces.tables",
    ],
    package_dir={"pdray.jobs": "jobs", "pdray.search_spaces": "search_spaces"},
    package_data={
        "pdray": ["py.typed", "*.pyi"],
        "pdray.report": ["*.jinja"],
        "pdray.search_spaces": ["*.yaml"],
        "pdray.training": ["*.yaml"],
        "pdray.search_spaces.tables": ["*.yaml"],
    },
)
