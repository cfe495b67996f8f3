# The base gives python3 (3.11 or 3.12) and, unless wheels of torch are fetched, torch. The platform's T4 takes CUDA 12.6
# at most. The version is the one in requirements/torch.txt.
ARG BASE_IMAGE=pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime

FROM ${BASE_IMAGE} AS packages
# Not empty: all packages come from requirements/wheels, and nothing is downloaded.
ARG OFFLINE=""
# Where the base has no torch and wheels are downloaded: the index that has the wanted build of torch.
ARG TORCH_INDEX=""
RUN --mount=type=bind,source=requirements,target=/requirements sh /requirements/install.sh inference

FROM packages AS dicom
# Not empty: the image reads DICOM and writes masks as DICOM.
ARG DICOM=""
RUN --mount=type=bind,source=requirements,target=/requirements \
    mkdir /opt/dicom && if [ -n "$DICOM" ]; then sh /requirements/install.sh dicom; fi

FROM scratch AS weights
ARG WEIGHTS=weights/phantom
COPY --chmod=755 ${WEIGHTS}/ /

FROM ${BASE_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor \
    nnUNet_raw=/dev/null \
    nnUNet_preprocessed=/dev/null \
    nnUNet_results=/dev/null \
    OPENBLAS_NUM_THREADS=1
COPY --from=packages /opt/venv /opt/venv
# A layer of its own, and an empty one without DICOM: images with it and without it share the packages above.
COPY --from=dicom /opt/dicom/ /opt/venv/

# From the part that changes least to the part that changes most: a change of code rebuilds the last layers alone.
WORKDIR /opt/vestibule
COPY --from=weights / weights/
COPY --chmod=755 process.py ./
COPY --chmod=755 vestibule/ vestibule/
RUN python3 -m compileall -q . && python3 -c "import process"

# How the platform calls the image, and how the image finds out what is asked of it.
ARG API_METHOD=invoke
ARG API=auto
ARG VERSION=0
ARG REVISION=unknown
LABEL org.grand-challenge.api-method="${API_METHOD}" \
      org.opencontainers.image.title="vestibule" \
      org.opencontainers.image.description="Segments vestibular schwannoma and cochlea on T2 MRI. Research only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV VESTIBULE_API=${API}
USER 1000:1000
ENTRYPOINT ["python3", "/opt/vestibule/process.py"]
