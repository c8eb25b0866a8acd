# Two images: `training`, for clusters, and the prediction service, which is built without --target.
#   tasks/build_training_docker.sh cpu|gpu
FROM python:3.11-slim AS training
ARG EXTRA=cpu
WORKDIR /repo
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY metadata metadata
COPY evaluation evaluation
COPY training training
COPY text_recognizer text_recognizer
RUN python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[${EXTRA},ray]" \
    && useradd --create-home --uid 1000 trainer
USER 1000
# Mount a folder that all hosts share here: runs, datasets and the locks of GPUs.
WORKDIR /home/trainer
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["run_experiment"]

# The prediction service. onnxruntime reads the ONNX twins of bundles: there is no TensorFlow in the image.
#   tasks/build_api_docker.sh && tasks/run_api_docker.sh
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 api
WORKDIR /repo
# Rarely changing files first, so that a change of the code does not reinstall the dependencies.
COPY constraints.txt tasks/api_requirements.txt ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt --requirement api_requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY metadata metadata
COPY evaluation evaluation
COPY training training
COPY text_recognizer text_recognizer
RUN python -m pip install --no-cache-dir --disable-pip-version-check --no-deps .
USER 1000
WORKDIR /home/api
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=5)"]
ENTRYPOINT ["text-recognizer", "serve", "--host", "0.0.0.0"]
