.PHONY: format check test bench support reproduction docs

format:
	ruff format .
	ruff check --fix .

check:
	ruff format --check .
	ruff check .
	lint-imports
	pyright
	nox --list >/dev/null

test:
	pytest

bench:
	OMP_NUM_THREADS=1 pytest benchmarks/test_kernels.py -o addopts= --benchmark-only \
		--benchmark-timer=time.process_time --benchmark-columns=min,median,rounds

support:
	python -m altmin.study.support > docs/.support.md
	mv docs/.support.md docs/support.md

reproduction:
	python -m altmin.exhibits.reproduction_page docs/reproduction > docs/.reproduction.md
	mv docs/.reproduction.md docs/reproduction.md

docs:
	sphinx-build -W --keep-going -q -b html docs docs/_build/html
