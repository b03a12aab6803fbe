import mujoco
import numpy as np
import pytest

from workbench.viewing.scene import raycast
from workbench.viewing.scene.marks import Shape

SIZES = {
    "sphere": ".5",
    "capsule": ".2 .4",
    "ellipsoid": ".3 .5 .2",
    "cylinder": ".3 .4",
    "box": ".3 .4 .2",
}
CAMERA = {"azimuth": 90.0, "elevation": -20.0, "distance": 3.0, "fovy": 40.0}


def world(kind):
    model = mujoco.MjModel.from_xml_string(f"""<mujoco><worldbody>
        <geom type='plane' size='20 20 1'/>
        <geom type='{kind}' size='{SIZES[kind]}' pos='.1 .2 1' euler='30 40 50'/>
    </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("kind", SIZES)
def test_normals_agree_with_finite_differences_of_the_surface(kind):
    model, data = world(kind)
    eye = np.array([0.3, -3.0, 1.9])
    ahead = (data.geom_xpos[1] - eye) / np.linalg.norm(data.geom_xpos[1] - eye)
    side = np.cross(ahead, [0, 0, 1.0])
    above = np.cross(side, ahead)
    geom = np.zeros(1, np.int32)

    def hit(a, b):
        ray = ahead + a * side + b * above
        ray /= np.linalg.norm(ray)
        distance = mujoco.mj_ray(model, data, eye, ray, None, 1, -1, geom)
        return eye + distance * ray if geom[0] == 1 else None

    checked = 0
    for a, b in np.random.default_rng(0).uniform(-0.12, 0.12, (60, 2)):
        points = [hit(a, b), hit(a + 1e-5, b), hit(a, b + 1e-5), hit(a - 1e-5, b), hit(a, b - 1e-5)]
        if any(p is None for p in points):
            continue
        numeric = np.cross(points[1] - points[3], points[2] - points[4])
        numeric /= np.linalg.norm(numeric)
        numeric *= -np.sign(numeric @ ahead)
        normal = raycast._normals(model, data, np.array([1]), points[0][None], -ahead[None])[0]
        checked += 1
        assert normal @ numeric > 0.99, (kind, a, b)
    assert checked > 20


def test_picture_shows_sky_floor_shape_and_its_shadow():
    model, data = world("sphere")
    frames = [(data, np.array([0.1, 0.2, 0.8]), ())]
    colours = np.array([[1, 1, 1], [1.0, 0.2, 0.1]])
    (picture,) = raycast.pictures(model, frames, (96, 72), CAMERA, colours)
    assert picture.shape == (72, 96, 3)
    assert picture.dtype == np.uint8
    picture = picture.astype(int)
    red = picture[..., 0] - picture[..., 2]
    assert red[36, 48] > 80
    assert red[:, :20].max() < 10
    bare = mujoco.MjData(model)
    bare.qpos[:] = data.qpos
    model.geom_pos[1] = [0, 0, 50]  # out of sight
    mujoco.mj_forward(model, bare)
    (empty,) = raycast.pictures(model, [(bare, frames[0][1], ())], (96, 72), CAMERA, colours)
    darker = empty.astype(int).sum(-1) - picture.sum(-1)
    assert ((darker > 60) & (red < 10)).sum() > 30, "there is no shadow on the floor"


def test_lamp_and_view_turn_together():
    """The same scene seen from the other side, turned likewise, is the same picture."""
    pictures = []
    for turn, azimuth in ((0, 90.0), (130, 220.0)):
        model = mujoco.MjModel.from_xml_string(f"""<mujoco><worldbody><body euler='0 0 {turn}'>
            <geom type='box' size='.3 .4 .2' pos='.1 .2 1'/></body></worldbody></mujoco>""")
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        camera = CAMERA | {"azimuth": azimuth}
        frames = [(data, np.array([0, 0, 1.0]), ())]
        colours = np.array([[1.0, 0.5, 0.2]])
        (picture,) = raycast.pictures(model, frames, (64, 48), camera, colours)
        pictures.append(picture.astype(int))
    assert (np.abs(pictures[0] - pictures[1]).max(-1) > 3).mean() < 0.01


def test_meshes_are_shaded_by_their_facets():
    """A box given as a mesh looks like the box."""
    box = "-.3 -.4 -.2 .3 -.4 -.2 -.3 .4 -.2 .3 .4 -.2 -.3 -.4 .2 .3 -.4 .2 -.3 .4 .2 .3 .4 .2"
    pictures = []
    for kind in ("type='box' size='.3 .4 .2'", "type='mesh' mesh='m'"):
        model = mujoco.MjModel.from_xml_string(f"""<mujoco>
            <asset><mesh name='m' vertex='{box}'/></asset>
            <worldbody><geom {kind} pos='0 0 1' euler='0 0 30'/></worldbody></mujoco>""")
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        frames = [(data, np.array([0, 0, 1.0]), ())]
        (picture,) = raycast.pictures(model, frames, (96, 72), CAMERA, np.array([[1, 0.5, 0.2]]))
        pictures.append(picture.astype(int))
    assert (np.abs(pictures[0] - pictures[1]).max(-1) > 12).mean() < 0.02


def test_marks_are_hidden_by_what_stands_before_them():
    model, data = world("sphere")  # radius 0.5 around (0.1, 0.2, 1)
    colours, at = np.array([[1, 1, 1], [0.9, 0.7, 0.3]]), np.array([0.1, 0.2, 1.0])
    blue, flat = (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5)

    def blueness(*shapes):
        (picture,) = raycast.pictures(model, [(data, at, shapes)], (96, 72), CAMERA, colours)
        picture = picture.astype(int)
        return picture[..., 2] - picture[..., 0]

    ahead = np.array([0, np.cos(np.radians(20)), -np.sin(np.radians(20))])
    before, behind = at - 0.8 * ahead, at + 0.8 * ahead
    assert blueness(Shape(before[None], 0.1, blue))[34:38, 46:50].min() > 90
    assert blueness(Shape(behind[None], 0.1, blue)).max() < 100
    half = blueness(Shape(before[None], 0.1, flat))[36, 48]
    assert blueness()[36, 48] + 40 < half < 90, "half of the sphere shows through"
    across = before + np.array([[-2.0, 0, 0], [2.0, 0, 0]])
    drawn = (blueness(Shape(across, 0.03, blue)) > 150).sum(0)
    assert (drawn > 0).all(), "the line reaches from side to side"
    assert drawn.max() <= 4
    through = np.array([[0.1, -40.0, 0.9], [0.1, 3.0, 0.9]])  # from behind the eye into the sphere
    assert 0 < (blueness(Shape(through, 0.02, blue)) > 150).sum() < 2000
