//! Names of packages: the well-known ones, and those that were given up.

/// Names that people mean when they slip, normalised; also names that are right though they are one letter beside another, so
/// that these are not taken for slips.
pub(super) const WELL_KNOWN: &str = "
accelerate aiohttp albumentations alembic altair anyio apache-airflow apache-beam appdirs argon2-cffi arviz astropy
asyncpg attrs autogluon awscli azure-ai-ml azure-core azure-identity azure-keyvault azure-keyvault-secrets azure-ml-component
azure-storage-blob azure-storage-file-datalake azureml-ai-monitoring azureml-automl-core azureml-automl-runtime
azureml-contrib-services azureml-core azureml-dataprep azureml-dataset-runtime azureml-defaults azureml-explain-model
azureml-fsspec azureml-inference-server-http azureml-interpret azureml-metrics azureml-mlflow azureml-model-management-sdk
azureml-opendatasets azureml-pipeline azureml-pipeline-core azureml-pipeline-steps azureml-sdk azureml-telemetry
azureml-train azureml-train-automl azureml-train-core azureml-widgets babel backoff bandit basemap bcftools bcrypt bedtools
beautifulsoup4 biopython bioconda bitsandbytes bleach blosc bokeh boto3 botocore bottleneck bowtie bowtie2 bzip2 ca-certificates
cachetools captum cartopy catboost category-encoders celery certifi chainer chardet charset-normalizer click cloudpickle
cmake codecov colorama comet-ml configparser contextlib2 contourpy conda-build contextily coverage cryptography cuda-toolkit
cudatoolkit cudnn cpython cupy cutadapt cycler cython dask dask-ml databricks-cli databricks-sdk dataclasses dataclasses-json dataset
datasets datashader debugpy decorator deepspeed defusedxml deprecated detectron2 diffusers dill distributed django docker
docker-py docutils dvc edward efficientnet einops elasticsearch entrypoints evaluate fairlearn fairseq faiss faiss-cpu faiss-gpu
fastai fastani fastapi fastparquet fastprogress fastqc fasttext feather-format ffmpeg filelock fiona flake8 flask flax folium fonttools
freetype frozenlist fsspec fuzzywuzzy gateway gcsfs gdal gensim geopandas geopy gevent ghostscript gitpython glib glibc
google-api-core google-auth google-cloud-bigquery google-cloud-storage gradio gpytorch graphviz greenlet grpcio grpcio-status
grpcio-tools gunicorn gymnasium h5netcdf haystack hdf5 holoviews horovod html5lib htslib httpcore httplib2 httptools httpx
huggingface-hub humanize hummingbird hydra hydra-core hyperopt icu idna imageio imageio-ffmpeg imagemagick imbalanced-learn
imgaug importlib-metadata importlib-resources inference-schema interpret interpret-community intel-openmp ipykernel ipython
ipywidgets isodate isort itsdangerous jaxlib jedi jemalloc jinja2 jmespath joblib jpeg jsonpickle jsonschema julia jupyter
jupyter-client jupyter-core jupyterhub jupyterlab kaggle kaleido keras keras-preprocessing kfserving kiwisolver kornia
kubernetes langchain langchain-community langchain-core langchain-openai langdetect libblas libcblas libcurl libgcc
libgcc-ng libgfortran libgfortran-ng libgomp liblapack libpng libprotobuf librosa libsodium libstdcxx-ng libtiff libuv
libxml2 libxslt lifelines lightgbm lightning lime litellm llama-index llvmlite locust loguru lxml mamba mako mapclassify
markdown markdown2 markdown-it-py markupsafe marshmallow matplotlib matplotlib-base matplotlib-inline mistune mkl mkl-service
mldesigner mlflow mlflow-skinny mltable mlxtend mmcv monai more-itertools mpi4py mpmath msgpack msgpack-python msrest
multidict multiprocess multiqc mypy mysqlclient mysql-connector-python natsort nbconvert nbformat ncurses neptune netcdf4
networkx nextflow ninja nltk nodejs notebook numba numcodecs numexpr numpy nvidia-ml-py nvidia-ml-py3 oauthlib omegaconf
onnx onnxmltools onnxruntime onnxruntime-gpu openai opencv opencv-contrib-python opencv-python opencv-python-headless openjdk openpyxl
openslide openssl opentelemetry-api opentelemetry-sdk opt-einsum optimum optuna orjson osmnx packaging pandas pandas-profiling
pandera papermill paramiko parso pathlib pathlib2 pathspec patsy peewee peft pendulum pexpect picard pickleshare pillow pip-tools
platformdirs plotly plotnine pluggy poetry polars portalocker pre-commit prefect presto prometheus-client promptflow
promptflow-tools prompt-toolkit prophet protobuf psutil psycopg psycopg2 psycopg2-binary ptyprocess pyarrow pyasn1
pyasn1-modules pybind11 pycaret pycocotools pycodestyle pycparser pycrypto pycryptodome pydantic pydantic-core pydantic-settings
pydicom pydocstyle pydot pydotplus pyflakes pygments pyinstaller pyjwt pykeen pylint pymc pymc3 pymongo pymssql pymysql pynacl
pynndescent pyodbc pyopenssl pyparsing pyproj pyqt pyramid pyrsistent pysam pyserial pyspark pystan pytables pyteomics
pytest pytest-asyncio pytest-cov pytest-mock pytest-runner pytest-timeout pytest-xdist python python-dateutil python-dotenv
python-json-logger python-multipart pytorch pytorch-cuda pytorch-lightning pytz pywavelets pyyaml pyzmq qiskit rasterio
raiwidgets readline redis referencing regex requests requests-oauthlib responsibleai responses retrying rouge-score ruamel-yaml
s3fs s3transfer sacrebleu sacremoses safetensors sagemaker sagemaker-experiments samtools scanpy scikit-image scikit-learn
scikit-optimize scipy scrapy seaborn segment-anything selenium sentence-transformers sentencepiece sentry-sdk setuptools
setuptools-scm shapely shap simpleitk simplejson six skl2onnx sktime smart-open snakemake snowflake-connector-python soupsieve
spacy spdlog sphinx sphinx-copybutton sqlalchemy sqlite sqlparse starlette statsmodels streamlit sympy tables tabpfn tabulate
tbb tenacity tensorboard tensorboardx tensorboard-plugin-wit tensorflow tensorflow-addons tensorflow-cpu tensorflow-datasets
tensorflow-estimator tensorflow-gpu tensorflow-hub tensorflow-probability tensorflow-text tensorrt termcolor textblob theano
threadpoolctl tifffile tiktoken timm tokenizers toolz torch torchaudio torchdata torchmetrics torchnet torchserve torchsummary
torchtext torchvision tornado tqdm traitlets transformers treelite trimmomatic triton typing-extensions typing-inspect tzdata
tzlocal ujson umap-learn uncertainties unidecode urllib3 uvicorn uvloop validators virtualenv vowpalwabbit wandb watchdog wcwidth
webencodings websocket-client websockets werkzeug wheel widgetsnbextension wordcloud wrapt xarray xformers xgboost xlrd
xlsxwriter xlwt xxhash yellowbrick yfinance zarr zeromq zipp zlib zstandard
";

/// Names that slips are looked for beside: asked for by very many, and long enough.
pub(super) const MOST_USED: &str = "
accelerate azure-ai-ml azure-identity azure-storage-blob azureml-core azureml-dataset-runtime azureml-defaults
azureml-inference-server-http azureml-mlflow azureml-sdk azureml-telemetry beautifulsoup4 biopython botocore catboost
cloudpickle cryptography cudatoolkit databricks-sdk datasets deepspeed diffusers evaluate fastapi gunicorn huggingface-hub
inference-schema ipykernel ipywidgets jupyter jupyterlab langchain lightgbm lightning matplotlib mlflow networkx nextflow
notebook onnxruntime opencv-python opencv-python-headless packaging pandas pillow plotly protobuf psycopg2-binary pyarrow
pydantic pyspark pytest pytest-cov python python-dateutil python-dotenv pytorch pytorch-lightning requests responsibleai
safetensors sagemaker samtools scikit-image scikit-learn seaborn sentence-transformers sentencepiece setuptools snakemake
sqlalchemy statsmodels streamlit tensorboard tensorflow tokenizers torchaudio torchmetrics torchvision transformers
typing-extensions urllib3 uvicorn xgboost
";

/// (name that was given up, what to ask for instead, whether that name may simply take its place).
pub(crate) const GIVEN_UP: &[(&str, &str, bool)] = &[
    ("sklearn", "scikit-learn", true),
    ("skimage", "scikit-image", false),
    ("bs4", "beautifulsoup4", false),
    ("dotenv", "python-dotenv", false),
    ("tensorflow-gpu", "tensorflow", false),
    ("pycrypto", "pycryptodome", false),
    ("nose", "pytest", false),
    ("fbprophet", "prophet", false),
    ("pandas-profiling", "ydata-profiling", false),
    ("docker-py", "docker", false),
    ("msgpack-python", "msgpack", false),
    ("pytorch-pretrained-bert", "transformers", false),
    ("pytorch-transformers", "transformers", false),
    ("pathlib", "the standard library's `pathlib`", false),
    ("typing", "the standard library's `typing`", false),
    ("argparse", "the standard library's `argparse`", false),
    ("futures", "the standard library's `concurrent.futures`", false),
    ("enum34", "the standard library's `enum`", false),
];

/// Names of [`GIVEN_UP`] that in conda are packages like any other.
pub(super) const GOOD_IN_CONDA: &[&str] =
    &["bs4", "tensorflow-gpu", "docker-py", "msgpack-python", "nose", "futures", "pathlib"];
