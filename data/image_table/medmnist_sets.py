"""What the labels of MedMNIST's twelve sets of two dimensions mean.

Their files hold numbers alone. Yang et al., Scientific Data 10:41 (2023), and
the sets' own package say what each stands for.
"""

import dataclasses

_ORGANS = (
  *('bladder', 'femur-left', 'femur-right', 'heart', 'kidney-left'),
  *('kidney-right', 'liver', 'lung-left', 'lung-right', 'pancreas', 'spleen'),
)


@dataclasses.dataclass(frozen=True)
class Known:
  """The labels of a set.

  Attributes:
    names: Of label 0, 1, ...; of findings, of their columns.
    kind: As `layout.KINDS`.
  """

  names: tuple[str, ...]
  kind: str = 'label'


KNOWN = {
  'pathmnist': Known(
    (
      *('adipose', 'background', 'debris', 'lymphocytes', 'mucus'),
      *('smooth muscle', 'normal colon mucosa', 'cancer-associated stroma'),
      'colorectal adenocarcinoma epithelium',
    )
  ),
  'chestmnist': Known(
    (
      *('atelectasis', 'cardiomegaly', 'effusion', 'infiltration', 'mass'),
      *('nodule', 'pneumonia', 'pneumothorax', 'consolidation', 'edema'),
      *('emphysema', 'fibrosis', 'pleural', 'hernia'),
    ),
    'findings',
  ),
  'dermamnist': Known(
    (
      'actinic keratoses and intraepithelial carcinoma',
      'basal cell carcinoma',
      'benign keratosis-like lesions',
      'dermatofibroma',
      'melanoma',
      'melanocytic nevi',
      'vascular lesions',
    )
  ),
  'octmnist': Known(
    (
      'choroidal neovascularization',
      'diabetic macular edema',
      'drusen',
      'normal',
    )
  ),
  'pneumoniamnist': Known(('normal', 'pneumonia')),
  'retinamnist': Known(tuple('01234'), 'grade'),
  'breastmnist': Known(('malignant', 'normal, benign')),
  'bloodmnist': Known(
    (
      'basophil',
      'eosinophil',
      'erythroblast',
      'immature granulocytes(myelocytes, metamyelocytes and promyelocytes)',
      'lymphocyte',
      'monocyte',
      'neutrophil',
      'platelet',
    )
  ),
  'tissuemnist': Known(
    (
      'Collecting Duct, Connecting Tubule',
      'Distal Convoluted Tubule',
      'Glomerular endothelial cells',
      'Interstitial endothelial cells',
      'Leukocytes',
      'Podocytes',
      'Proximal Tubule Segments',
      'Thick Ascending Limb',
    )
  ),
  **dict.fromkeys(
    ('organamnist', 'organcmnist', 'organsmnist'), Known(_ORGANS)
  ),
}
