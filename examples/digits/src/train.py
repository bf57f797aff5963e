"""Train a random forest on the handwritten digits that scikit-learn ships, and keep the model."""

import argparse
import json
import pathlib
import pickle
import platform

import pandas
import sklearn
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trees", type=int, default=100)
parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("outputs/model"))
arguments = parser.parse_args()

print(f"Python {platform.python_version()}, scikit-learn {sklearn.__version__}, pandas {pandas.__version__}")
images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.25, random_state=0)
print(f"training {arguments.trees} trees on {len(train_x)} images of 8 x 8 pixels")

model = RandomForestClassifier(n_estimators=arguments.trees, random_state=0).fit(train_x, train_y)
report = pandas.DataFrame(classification_report(test_y, model.predict(test_x), output_dict=True)).T
print(report.round(3).to_string())

arguments.model.mkdir(parents=True, exist_ok=True)
(arguments.model / "model.pkl").write_bytes(pickle.dumps(model))
(arguments.model / "metrics.json").write_text(json.dumps({"accuracy": model.score(test_x, test_y)}, indent=2) + "\n")
print(f"accuracy {model.score(test_x, test_y):.4f} on {len(test_x)} images it had not seen")
