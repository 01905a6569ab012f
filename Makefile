.PHONY: format check test docs

format:
	ruff format .
	ruff check --fix .

check:
	ruff format --check .
	ruff check .
	pyright

test:
	pytest

docs:
	python -m altmin.support > docs/support.md
	sphinx-build -W --keep-going -q -b html docs docs/_build/html
