"""Words of NUS-WIDE, as facts: the 81 concepts, their groups, and the 925 tags that are no concept.

Concepts in the order of ``Concepts81.txt``. Tags in the order of ``TagList1k.txt`` without the 75 that are concepts as
well; the concepts computer, fire, map, swimmers, tattoo and whales are no tags. Groups are HSPNet's
(jameslahm/HSPNet@d3467c9, ``nuswide_super_labels*``): 6 in its files, where its paper speaks of 10.
"""

from __future__ import annotations

_CONCEPTS = """
    airport animal beach bear birds boats book bridge buildings cars castle cat cityscape clouds computer coral cow
    dancing dog earthquake elk fire fish flags flowers food fox frost garden glacier grass harbor horses house lake
    leaf map military moon mountain nighttime ocean person plane plants police protest railroad rainbow reflection
    road rocks running sand sign sky snow soccer sports statue street sun sunset surf swimmers tattoo temple tiger
    tower town toy train tree valley vehicle water waterfall wedding whales window zebra
"""

NUS_CONCEPTS: tuple[str, ...] = tuple(_CONCEPTS.split())

NUS_GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(members.split())
    for group, members in {
        "activity": "dancing earthquake fire protest running soccer surf swimmers wedding",
        "program": "sports",
        "scene": """
            airport beach bridge buildings castle cityscape clouds frost garden glacier grass harbor house lake moon
            mountain nighttime ocean plants railroad rainbow reflection road sky snow street sunset temple town
            valley water waterfall window
        """,
        "people": "military person police tattoo",
        "object": """
            animal bear birds boats book cars cat computer coral cow dog elk fish flags flowers food fox horses leaf
            plane rocks sand sign statue sun tiger tower toy train tree vehicle whales zebra
        """,
        "graphics": "map",
    }.items()
}

_TAGS = """
    nature blue red green bravo landscape explore light white people sea night art architecture yellow portrait city
    macro travel trees california color black flower orange girl winter interestingness urban beautiful colors
    canada europe summer building river wildlife pink england old park film woman animals italy photography germany
    mountains photo man france bird boat london cute asia wow abandoned japan car spring love autumn australia
    lights digital dark colour church shadow sunrise fun closeup zoo silhouette spain cloud wall colorful island
    vintage india field vacation eos beauty child texture ship war forest fall face baby africa rock washington
    italia square china rain design abstract brown boy ice reflections wood life airplane fog decay morning kids
    desert paris colours shadows glass america leaves eyes coast music scotland storm aircraft home hawaii new texas
    quality cold graffiti windows interesting sepia gold stone view flying evening politics family downtown olympus
    purple cool holiday museum men girls fashion history outdoors trip photographer weather arizona brazil manhattan
    world peace brasil rural farm funny underwater door dusk friends smoke waves toronto berlin smile ontario
    sculpture lines kid florida flight horse wild country mist deer bay festival religion aviation deutschland
    action pretty perspective skyline happy sigma male scenery outdoor sunlight natural breathtaking party pet air
    fence photos golden eye work excellence handmade national plant bright wings day grey netherlands tokyo portugal
    alaska hot school bush photojournalism pool stairs model high chicago panorama thailand dance hand self
    christmas flag jet camera dogs dress cats truck historic contrast holland fly apple office europa north army
    hair fab swimming culture painting mexico station interior oregon insect great metal public hill star village
    navy hills vivid colorado outside motion sunny sport toys rose rust image path pattern illustration young sydney
    picture vancouver marine horizon market hotel michigan greece modern ireland philippines iraq japanese steel
    switzerland football bike walking shore wet canal hands portraits blur group elephant death wind mare seascape
    pacific hat race awesome paint pond roof power tourism aerial amazing room industrial butterfly britain
    countryside flora streets diving demonstration president bicycle big costume pakistan dawn iceland hiking
    traffic bride march female american sheep south petals sweet cactus rebel chair candid indian pets mammal gate
    heart craft boys fields fruit long fishing ruins harbour twilight chairs racing illinois pier jump best victoria
    mirror exposure time port highway glow restaurant cathedral seattle mosque dream soldier crowd nsw surreal
    construction monument walk arch tunnel wave bench monochrome palm kitchen hospital houses umbrella asian brick
    glasses flash hope brooklyn factory play stream space lighthouse soldiers subway speed sunglasses cross sitting
    cliff helicopter shoes scuba classic rome quebec scenic studio concrete photograph turkey amsterdam guns alberta
    egypt puppy islands head mar freedom stripes drawing shot nederland colourful steps woods british moss singapore
    melbourne fountain georgia belgium movement ships paper islam lion antique dock tracks clothes canyon argentina
    retro land tropical perfect norway maldives parade university news auto wisconsin poverty oil floor french
    industry bus stars display sunshine creative polaroid golf adults palace sidewalk west barcelona lovely barn
    concert environment earth iran ohio safari gun wallpaper cloudy squirrel dead skyscraper kuwait game college
    couple nice silver eagle trail landscapes signs virginia israel tour decoration store utah wales cafe capital
    ground reptile basketball coffee fisheye roma chile weapons fantastic june live july memorial york muslim close
    wonderful cemetery mural refugees frozen lizard chinese library documentary meeting fantasy metro actor meadow
    balcony minnesota raw swim aquarium monks underground gray post small rabbit photographers composition prayer
    railway ball collage blossoms branch graveyard range election shell baseball leopard angel silhouettes ancient
    spider adventure cows shop boston movie kitty males structure angle jail montreal rally band gorgeous shops
    stones sweden frame phone center pennsylvania lamp shopping furniture lady rice united apartments arctic track
    joy sailboat bunny bank run april geometry firefighter historical doll guard shirt alley rifles sailing relief
    burma fighter faces wolf fabulous hats massachusetts lighting maryland cubs paradise vegetables african
    automobile crafts austria tennis kitten court bridges indonesia line trunk paintings theater wing flood uniform
    lakes rail dust missouri moose pilot shooting artist images lens october style agua ladder rusty wide entrance
    drops social standing buddha heritage bathroom cruise doorway magic monastery cheerleader volcano airplanes mac
    italians suits motorcycle buddhist stadium club kiss pole ceiling giant singing bar magical classroom graphic
    madrid malaysia soft politicians shade bears dunes lily fauna tulip individual tornado god groom sad tanks maps
    adorable ceremony state athlete analog seaside buddhism drop philadelphia playing vietnam youth dramatic
    elephants riot snake steam protesters windy clothing oahu polar sails little needles submarine writing cave
    transportation traditional crystals pair copyright cottage harvest basket pope pyramid cellphones designs save
    ties waterfalls adult formula textures wonder beards tundra bazaar blooms chapel democrat guest judge tanker
    penguin pipes atlanta hangar houseboat nets raft agent business december facade pictures runway suburban tourist
    caribou darkness foals horns microphones radar waterways cubism fan fawn health host friend plastic plaza lawn
    mosques pups science officers sewing entertainment poland valleys gothic telephones rainy august hawk shrine
    tusks feline stunning figures mall talking ruin booby cabin holidays look legs orchid rays mug airforce
    tollbooth circle county dynamic prison cheering cheese gardens goat scientists tomb crab maui roadblock taiwan
    balloons nose portland tent bleu kit antlers landing marsh backpack carpet human reef rodent waiting afternoon
    peaceful atmosphere brighton bug commercials halloween lonely portfolio pottery austin giraffe oilfield storms
    dive railing barge hut skiing delete helicopters creek jeep mother charts favorite happiness drum international
    locomotive tortoise canoe reefs sail finland cables engine free nevada kauai pebbles neon grain east istanbul
    warehouse driver funeral antenna cake
"""

#: The "seen" tags of the zero-shot split 925/81.
NUS_TAGS: tuple[str, ...] = tuple(_TAGS.split())

#: Columns of the data set: concepts first.
NUS_CLASSES: tuple[str, ...] = NUS_CONCEPTS + NUS_TAGS
