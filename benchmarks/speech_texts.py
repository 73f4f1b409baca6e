"""Texts that the synthesised corpora are read from: digit strings, short plain sentences, random-word sentences.

Everything here was written for this project. The sixty `SENTENCES` follow the manner of the Harvard lists (IEEE 297-1969: plain, declarative,
five to nine words, phonetically mixed) and are never part of a training corpus: they are what `intelligibility.py` asks a judge to tell apart.
"""

import random

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

SENTENCES = (
    "The old clock in the hall runs slow.",
    "A cold wind blew across the empty pier.",
    "She packed two apples and a piece of bread.",
    "The boat drifted past the green buoy.",
    "Fresh paint dries quickly in the sun.",
    "He gave the grey horse a handful of oats.",
    "Nine candles burned on the long table.",
    "The road bends sharply near the mill.",
    "Pour the hot tea into a thin glass.",
    "A brown dog slept beside the stove.",
    "The choir sang one verse too many.",
    "Rain fell hard on the tin roof.",
    "Her brother fixed the broken chain.",
    "The judge read the letter out loud.",
    "Keep the garden gate shut at night.",
    "A thick fog covered the whole valley.",
    "The baker sold his last loaf by noon.",
    "They found a silver coin in the sand.",
    "The train left without the mail bag.",
    "Sweep the dust from under the bed.",
    "The young king wore a plain cloak.",
    "Three geese flew over the frozen lake.",
    "He wrote his name on the wet wall.",
    "The soup needs salt and more pepper.",
    "A sharp knife cuts the rope with ease.",
    "The child drew a house with no door.",
    "Snow melts first on the south slope.",
    "The nurse checked his pulse twice.",
    "Large ships wait outside the harbour.",
    "We saw the moon rise behind the tower.",
    "The farmer sold both of his black mules.",
    "Tie the parcel with a strong cord.",
    "The match was lost in the final minute.",
    "A loud knock woke the tired guard.",
    "Plant the beans when the soil is warm.",
    "The pilot turned back before the storm.",
    "His coat was torn by the thorn bush.",
    "The cook threw the burnt rice away.",
    "A narrow bridge joins the two farms.",
    "The school bell rang five times today.",
    "Bring a clean towel and some soap.",
    "The judge of the race lost his watch.",
    "Old maps show a river in this place.",
    "The cat jumped from the shelf to the chair.",
    "They cheered when the lights came on.",
    "A small spark can burn down a forest.",
    "The doctor lives above the book shop.",
    "Four men pushed the cart up the hill.",
    "The sleeve of the shirt was too short.",
    "Hang the wet clothes near the fire.",
    "The bee flew straight to the red flower.",
    "She paid the fine with a heavy sigh.",
    "The lamp fell and broke into pieces.",
    "Deep snow blocked the mountain pass.",
    "The thief hid the rings in a shoe.",
    "Read the first page and then stop.",
    "The crowd pressed close to the stage.",
    "A wide ditch runs along the fence.",
    "The milk turned sour in the heat.",
    "Both sisters laughed at the clown.",
)

WORDS = tuple(
    """able about above account across action active actor adult advice affair afford after again against agency agree ahead airport
    alarm album alive almost alone along already always among amount anger angle animal annual answer anybody apart appear apple apply area argue army
    around arrive article artist asleep aspect assume attack attempt attend autumn average avoid awake award aware baby back bacon badge balance
    ball banana band bank bargain barrel base basket bath battle beach beard beauty because become before begin behave behind believe belong below
    bench beside better between beyond bicycle bird birth bitter blanket blind block blood board boil bone border boring borrow bottle bottom
    boundary brain branch brave breath brick bridge brief bright bring broad brother brush budget build bundle burden burst butcher butter button
    cabin cake camera camp canal cancel candle capital captain carbon career careful carpet carry castle catch cause caution ceiling centre
    century chain chair chance change chapter charge cheap cheese chicken chief choice choose circle citizen claim class clay clever climate
    climb clock cloud club coast coffee collar colour column comfort common company compare concern confirm consider contain cool copper copy
    corner correct cottage cotton council count country couple courage cousin cover crack create credit crisis cross crowd cruel culture curious
    current curtain custom damage dance danger daughter dawn deal debate decade decide deep defence degree delay deliver demand deny depend desert
    design desire detail develop device dinner direct discover dish distance divide doctor dollar double doubt dozen dragon drawer dream dress
    drink drive drop duty eager early earn earth east easy echo edge edit effect effort eight either elbow election electric elephant else emerge
    employ empty enemy engine enjoy enough enter entire envelope equal error escape estate evening event exact example except exchange excuse
    exist expand expect expert explain express extra fabric factor factory fail faith famous fashion father fault favour feather feature federal
    fence field fight figure finger finish fire flag flame flash flavour flight float floor flour flow fluid focus follow foreign forest forget
    formal fortune forward frame freedom frequent fresh friend front frozen fruit future gallery garage garden gather general gentle genuine
    giant glance globe glove golden govern grace grain grand grass gravity green grey ground group growth guard guess guest guide guilty habit
    hammer handle happen harbour hardly harvest head health heart heavy height helmet hero hidden highway history hobby hollow honest honey
    hope horizon horse hospital hotel hour huge human hunger hurry husband ideal ignore image impact import improve include income indeed
    industry inform injury inner inside instead invite iron island issue jacket jealous join journey joy judge juice jump jungle junior justice
    keen keep kettle kitchen knee knife knock labour ladder lake language large later laugh launch lawyer layer lazy leader leaf learn leather
    lecture legal leisure lemon length lesson letter level liberty library light likely limit liquid listen little local logic lonely loose
    lovely lower loyal lucky lumber lunch machine magazine magic maintain major manage manner marble march margin market marriage master match
    matter meadow measure medal medical meet member memory mention merchant message metal method middle might mild million mineral minor minute
    mirror mission mixture mobile model modern moment monkey month moral morning mother motion mountain mouse mouth move murder muscle museum
    music mystery narrow nation nature nearby needle neither nephew nerve network never night noble noise normal north notice novel number
    object observe obtain ocean offer office often olive onion open opinion oppose orange orbit order ordinary organ origin outcome outside oven
    owner oxygen package paint palace panel paper parade parent parking parlour partner passage patient pattern pause payment peace pencil
    people pepper perfect perhaps permit person phone phrase piano picture piece pigeon pilot pioneer planet plastic platform pleasant plenty
    pocket poem point poison police polite pond popular portion position possible potato pottery poverty powder power praise prefer prepare
    present pressure pretty prevent price pride prince print prison private prize problem process produce profit program promise proper protect
    proud provide public pulse pupil purchase pure purple purpose puzzle quality quarter queen question quick quiet rabbit radio railway rain
    rapid rare rather reach reason rebel recall receive recent record reduce reform refuse regard region regret reject relate relax release
    remain remember remote remove repair repeat reply report request rescue resist resource respect result retire return reveal reward rhythm
    ribbon rice rich rifle right river rocket romance roof rough round royal rubber rural sacred saddle safety sailor salary salad sample
    sausage scale scene scheme scholar school science scissors score scream screen search season second secret section secure select senior
    sense series serious servant settle several shadow shallow shape share sharp shelter shield shift shine shirt shock shoulder shower sight
    signal silence silver similar simple singer single sister sketch skill sleep slight slope smart smile smooth social soldier solid solution
    someone source south space speak special speech speed spider spirit spoon spread spring square stable staff stairs standard station statue
    steady steam steel stomach storage story strange stream street strength stretch strike string strong student studio style subject succeed
    sudden suffer sugar suggest summer supper supply support surface surprise survive swallow sweater sweet swim switch symbol system table
    tailor talent target taste teacher temple tender tennis territory theatre theory thick thing think thirsty thought thread threat throat
    through thunder ticket timber tissue title tobacco today together tomato tongue tonight tool topic total touch tourist toward towel tower
    trade traffic travel treasure treat triangle trouble truly trumpet trust tunnel turkey turtle twelve twenty twist typical umbrella uncle
    under uniform union unique unite unless until upper upset urban urgent useful usual vacant valley value vanish variety vehicle velvet
    venture verdict version vessel victim victory village violin virtue vision visit voice volume voyage wagon wander warm warning waste water
    wealth weapon weather wedding weekend weight welcome west whale wheat wheel whisper whistle white whole width window winner winter wisdom
    witness wonder wooden worry worth wound wrist writer yellow yesterday young zebra""".split()
)

_SUBJECTS = (
    "the farmer",
    "a young girl",
    "the tall man",
    "my cousin",
    "the old teacher",
    "a small boy",
    "the sailor",
    "her uncle",
    "the judge",
    "a tired cook",
)
_VERBS = ("found", "carried", "painted", "dropped", "watched", "bought", "followed", "measured", "forgot", "described")
_PLACES = ("near the river", "behind the house", "in the morning", "on the table", "before the storm", "under the bridge", "at the market", "by the window")


def digit_string(rng: random.Random, shortest: int = 2, longest: int = 6) -> str:
    """A string of `shortest` to `longest` spoken digits, each length equally likely."""
    return " ".join(rng.choice(DIGITS) for _ in range(rng.randint(shortest, longest)))


def plain_sentence(rng: random.Random) -> str:
    """A sentence: half of them a subject-verb-object sentence, half four to ten unrelated words."""
    if rng.random() < 0.5:
        words = [rng.choice(_SUBJECTS), rng.choice(_VERBS), "the", rng.choice(WORDS), rng.choice(WORDS), rng.choice(_PLACES)]
    else:
        words = [rng.choice(WORDS) for _ in range(rng.randint(4, 10))]
    return " ".join(words).capitalize() + "."
