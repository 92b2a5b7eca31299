# The app as an image: one stage installs, the other one only runs. How to build and start it: docs/hosting.md.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS installed
# PyTorch's own index has torch without CUDA; empty takes the registry's, which on Linux brings CUDA, 6 GB of it
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3-venv
COPY requirements.lock /
# pip stays in an environment of its own. The lock is complete, so nothing is resolved, only checked at the end.
# Wheels only: no code of a package runs before it is imported. The hashes are the registry's; torch from another
# index is held by its version.
RUN python3 -m venv /tools && python3 -m venv --without-pip /venv \
 && install() { /tools/bin/pip --python /venv/bin/python install --no-cache-dir --no-deps --only-binary :all: "$@"; } \
 && if [ -n "$TORCH_INDEX" ]; then \
      grep -oE '^torch(vision)?==[^ ]+' requirements.lock > torch.txt \
      && awk '/^[^ #]/ {theirs = /^(torch|torchvision|triton|cuda-|nvidia-)/} !theirs' requirements.lock > rest.txt \
      && install --index-url "$TORCH_INDEX" -r torch.txt; \
    else cp requirements.lock rest.txt; fi \
 && install --require-hashes -r rest.txt \
 && /tools/bin/pip --python /venv/bin/python check

FROM ${BASE}
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && useradd --create-home --uid 1000 thaw
COPY --from=installed /venv /venv
COPY . /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    HOME=/home/thaw \
    THAW_HOME=/home/thaw/data \
    THAW_HOSTED=1 \
    PYTHONUNBUFFERED=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=7860
# the source is root's and only read, so what Python would keep beside it is made now
RUN chmod -R u=rwX,go=rX . && python3 -m compileall -q .
USER 1000
# what the first visitor would wait for: the built-in pictures, drawn and decoded. How fast this machine is, is not
# measured here: it is not the one that will serve.
RUN python3 -m core data builtin
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/health', timeout=8)"]
# -s: also where it is not the first process, it takes in what others leave behind
ENTRYPOINT ["tini", "-s", "--"]
CMD ["streamlit", "run", "app.py"]
