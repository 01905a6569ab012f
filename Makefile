.PHONY: format check test support docs

format:
	ruff format .
	ruff check --fix .

check:
	ruff format --check .
	ruff check .
	pyright

test:
	pytest

support:
	python -m altmin.support > docs/.support.md
	mv docs/.support.md docs/support.md

docs:
	sphinx-build -W --keep-going -q -b html docs docs/_build/html
